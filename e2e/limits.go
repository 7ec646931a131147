package e2e

// Limits are where the stand-ins fall short of AWS and nothing here makes up for
// it: what is then not compared, or is done by the test in the stack's place.
// docs/e2e.md says the same of each, and a run holds that each is still there.
var Limits = []string{
	"SSM documents",
	"Object Lock",
	"A callback whose function fails",
	"States inside branches",
}
