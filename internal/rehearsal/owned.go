package rehearsal

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"cordon/internal/sim"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	dynamodbtypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// An invocation that begins after its execution has lost the instance's incident to
// another changes nothing of the instance, but that it closes what stands in the
// conversion group. What had begun by then may end: that is what a stop leaves, too.
func changedByAnother(t Trace) string {
	owners := t.owners()
	if len(owners) < 2 {
		return ""
	}
	closed := t.closings()
	for n := range t.Calls {
		c := &t.Calls[n]
		if !c.Mutating || !c.Effective || !outside(*c) || !owners.lost(c.By) {
			continue
		}
		// Copies of evidence are found by whoever looks next, and a group is nobody's.
		if c.By.Function == "custody" || strings.Contains(c.Action, "SecurityGroup") || c.Action == "ModifyNetworkInterfaceAttribute" && closed[c.Number] {
			continue
		}
		return fmt.Sprintf("%s:%s at %s, of %s, by an execution that had lost the incident to another", c.Service, c.Action, c.At.Sub(t.Start), c.By.Function)
	}
	return ""
}

// owning is that an execution has the incident of the instance from then on.
type owning struct {
	since     time.Time
	execution string
}

// ownings are those of one instance's incidents, in the order of time.
type ownings []owning

// owners are those that had the instance's incident, in order, as the heads of its
// incidents were written: by whoever opened one, took one over, or asks once more.
func (t Trace) owners() (all ownings) {
	mine := func(key map[string]dynamodbtypes.AttributeValue) bool {
		pk := stringOf(key["pk"])
		return strings.HasPrefix(stringOf(key["sk"]), "incident#") && pk[strings.LastIndexByte(pk, '.')+1:] == t.Finding.InstanceID
	}
	for n := range t.Calls {
		c := &t.Calls[n]
		if !c.Effective || c.Service != "dynamodb" {
			continue
		}
		execution := ""
		switch in := c.Input.(type) {
		case *dynamodb.PutItemInput:
			if mine(in.Item) {
				execution = stringOf(in.Item["execution"])
			}
		case *dynamodb.UpdateItemInput:
			if mine(in.Key) {
				execution = stringOf(in.ExpressionAttributeValues[":to"])
			}
		}
		if execution != "" {
			all = append(all, owning{c.Made, execution})
		}
	}
	slices.SortStableFunc(all, func(a, b owning) int { return a.since.Compare(b.since) })
	return all
}

// lost says whether an invocation is of an execution that had lost the incident to
// another when it began.
func (all ownings) lost(by *sim.Invocation) bool {
	if by == nil || by.Execution == "" {
		return false
	}
	owner := ""
	for _, o := range all {
		if o.since.Before(by.Began) {
			owner = o.execution
		}
	}
	return owner != "" && owner != by.Execution
}

// closings are the changes of groups by isolate that do nothing but close what stands
// in the conversion group, by the number of the call. Where the other one closed it
// since it was looked at, they do nothing at all.
func (t Trace) closings() map[int]bool {
	kinds, all := t.kinds(), map[int]bool{}
	for _, s := range t.swaps() {
		through := slices.ContainsFunc(s.from, func(g string) bool { return kinds[g] == "conversion" })
		if s.call.By != nil && s.call.By.Function == "isolate" && (through || sameGroups(s.from, s.to)) && kinds.all(s.to, "quarantine", "capture") {
			all[s.call.Number] = true
		}
	}
	return all
}
