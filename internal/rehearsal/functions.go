package rehearsal

import (
	"net/http"

	"cordon/internal/approval"
	"cordon/internal/audience"
	"cordon/internal/authorize"
	closing "cordon/internal/close"
	"cordon/internal/console"
	"cordon/internal/credentials"
	"cordon/internal/custody"
	"cordon/internal/decide"
	"cordon/internal/digest"
	"cordon/internal/drift"
	"cordon/internal/enrich"
	"cordon/internal/exposure"
	"cordon/internal/incident"
	"cordon/internal/isolate"
	"cordon/internal/journal"
	"cordon/internal/lambdafn"
	"cordon/internal/memory"
	"cordon/internal/notify"
	"cordon/internal/preserve"
	"cordon/internal/release"
	"cordon/internal/sim"
	"cordon/internal/snapshot"
	"cordon/internal/terminate"
)

// functions is what the mains wire up, with the account in memory in AWS's place.
var functions = map[string]func(h incident.Host, a *sim.Account) (lambdafn.Handler, error){
	"approval": func(h incident.Host, a *sim.Account) (lambdafn.Handler, error) {
		return lambdafn.Handle(approval.New(h, a.SNS(), a.KMS(), a.SFN(), a.DynamoDB(), a.DynamoDB()))
	},
	"audience": func(h incident.Host, a *sim.Account) (lambdafn.Handler, error) {
		return lambdafn.Handle(audience.New(h, a.SNS()))
	},
	"authorize": func(h incident.Host, a *sim.Account) (lambdafn.Handler, error) {
		return lambdafn.Handle(authorize.New(h, a.EC2(), a.KMS(), a.DynamoDB(), a.DynamoDB()))
	},
	"close": func(h incident.Host, a *sim.Account) (lambdafn.Handler, error) {
		return lambdafn.Handle(closing.New(h, a.SNS(), a.S3(), a.KMS(), a.DynamoDB(), a.DynamoDB()))
	},
	"console": func(h incident.Host, a *sim.Account) (lambdafn.Handler, error) {
		return lambdafn.Handle(console.New(h, a.EC2(), a.S3(), a.DynamoDB()))
	},
	"credentials": func(h incident.Host, a *sim.Account) (lambdafn.Handler, error) {
		return lambdafn.Handle(credentials.New(h, a.EC2(), a.IAM(), a.KMS(), a.DynamoDB(), a.DynamoDB()))
	},
	"custody": func(h incident.Host, a *sim.Account) (lambdafn.Handler, error) {
		return lambdafn.Handle(custody.New(h, a.EC2(), a.EC2(), a.STS(), a.DynamoDB()))
	},
	"digest": func(h incident.Host, a *sim.Account) (lambdafn.Handler, error) {
		return lambdafn.Handle(digest.New(h, a.S3(), a.DynamoDB()))
	},
	"drift": func(h incident.Host, a *sim.Account) (lambdafn.Handler, error) {
		return lambdafn.Handle(drift.New(h, a.CloudTrail(), a.SNS(), a.DynamoDB()))
	},
	"enrich": func(h incident.Host, a *sim.Account) (lambdafn.Handler, error) {
		return lambdafn.Handle(enrich.New(h, a.EC2(), a.S3(), a.SSM(), a.AutoScaling(), a.SFN(), a.DynamoDB()))
	},
	"exposure": func(h incident.Host, a *sim.Account) (lambdafn.Handler, error) {
		return lambdafn.Handle(exposure.New(h, a.EC2(), a.SSM(), a.DynamoDB()))
	},
	"isolate": func(h incident.Host, a *sim.Account) (lambdafn.Handler, error) {
		return lambdafn.Handle(isolate.New(h, a.EC2(), a.DynamoDB()))
	},
	"journal": func(h incident.Host, a *sim.Account) (lambdafn.Handler, error) {
		return lambdafn.Handle(journal.New(h, a.S3()))
	},
	"memory": func(h incident.Host, a *sim.Account) (lambdafn.Handler, error) {
		return lambdafn.Handle(memory.New(h, a.EC2(), a.SSM(), a.S3(), a.Presign(), a.DynamoDB()))
	},
	"notify": func(h incident.Host, a *sim.Account) (lambdafn.Handler, error) {
		return lambdafn.Handle(notify.New(h, a.SNS(), a.DynamoDB()))
	},
	"preserve": func(h incident.Host, a *sim.Account) (lambdafn.Handler, error) {
		return lambdafn.Handle(preserve.New(h, a.EC2(), a.AutoScaling(), a.ElasticLoadBalancingV2(), a.ElasticLoadBalancing(), a.DynamoDB()))
	},
	"release": func(h incident.Host, a *sim.Account) (lambdafn.Handler, error) {
		return lambdafn.Handle(release.New(h, a.EC2(), a.AutoScaling(), a.ElasticLoadBalancingV2(), a.ElasticLoadBalancing(), a.KMS(), a.DynamoDB(), a.DynamoDB()))
	},
	"snapshot": func(h incident.Host, a *sim.Account) (lambdafn.Handler, error) {
		return lambdafn.Handle(snapshot.New(h, a.EC2(), a.DynamoDB()))
	},
	"terminate": func(h incident.Host, a *sim.Account) (lambdafn.Handler, error) {
		return lambdafn.Handle(terminate.New(h, a.EC2(), a.KMS(), a.DynamoDB(), a.DynamoDB()))
	},
}

// page is the one function that speaks HTTP.
func page(h incident.Host, a *sim.Account) (http.Handler, error) {
	return decide.New(h, a.KMS(), a.SFN(), a.Keys(), a.DynamoDB(), a.DynamoDB())
}
