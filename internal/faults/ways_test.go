package faults_test

import (
	"slices"
	"strings"
	"testing"

	"cordon/internal/incident"
	"cordon/internal/rehearsal"
	"cordon/internal/sim"
)

// operator stops the execution and redrives it.
func operator(stop, again float64) rehearsal.Script {
	return rehearsal.Script{Stops: []rehearsal.Moving{{At: stop}}, Redrives: []rehearsal.Moving{{At: again}}}
}

// first is when a function makes its first such call, undisturbed. A mutant may make
// none: its way leads nowhere then.
func (b *base) first(function, calls string) float64 {
	n := slices.IndexFunc(b.undisturbed.Calls, func(c rehearsal.Call) bool {
		return c.By == function && strings.HasPrefix(c.Service+":"+c.Action, strings.TrimSuffix(calls, "*"))
	})
	if n < 0 {
		return 1
	}
	return float64(b.undisturbed.Calls[n].At)
}

// calls says whether a function calls anything, undisturbed.
func (b *base) calls(function string) bool {
	return slices.ContainsFunc(b.undisturbed.Calls, func(c rehearsal.Call) bool { return c.By == function })
}

// ways lead where the base incidents do not come by themselves. What is long or
// lasting in them is what it takes: an error that a retry outlasts leads nowhere.
func ways(all []*base) []trial {
	by := map[string]*base{}
	for _, b := range all {
		by[b.name] = b
	}
	worse := by["plain, kept"].racing[1]
	others := func(at float64, what string) rehearsal.Script {
		return rehearsal.Script{Others: []rehearsal.Doing{{At: at, What: what}}}
	}
	meanwhile := rehearsal.Script{Events: []rehearsal.Delivery{{At: 20, Event: worse}}}
	takenOver := operator(0.5, 400)
	takenOver.Events = []rehearsal.Delivery{{At: 50}}
	// Stopped, asked about by cordon decide, which gives it to another execution, redriven.
	given := func(stop float64) rehearsal.Script {
		s := operator(stop, 500)
		s.Events = []rehearsal.Delivery{{At: 400, Event: by["decided later"].event}}
		return s
	}
	// The same, where a function that lacks a right keeps it from going on meanwhile.
	kept := func(name, function, calls string) rehearsal.Script {
		at := by[name].first(function, calls)
		s := operator(at+2, at+500)
		s.Storms = roleLost(function, calls, at-0.001, at+20).Storms
		s.Events = []rehearsal.Delivery{{At: at + 400, Event: by["decided later"].event}}
		return s
	}
	looking := given(302.1)
	looking.Storms = roleLost("approval", "dynamodb:*", 499, 520).Storms
	// Ended by others before it is contained.
	ended := func(s rehearsal.Script) rehearsal.Script {
		s.Storms = append(s.Storms, by["never contained"].script.Storms...)
		s.Others = []rehearsal.Doing{{At: 2, What: "terminate"}}
		return s
	}
	unseen := given(250)
	unseen.Storms = roleLost("snapshot", "ec2:*", 20, 390).Storms
	asksNext := operator(20, 300)
	asksNext.Events = []rehearsal.Delivery{{At: 100}}
	undelivered := lost("sfn:SendTaskSuccess", sim.Unavailable, 0, days)
	var trials []trial
	for _, w := range []struct {
		base   string
		script rehearsal.Script
	}{
		{"plain, kept", roleLost("enrich", "ec2:*", 0, days)},                   // Tell that it could not be read
		{"plain, kept", lost("ec2:DescribeInstances", sim.NotFound, 0, days)},   // Already gone, for a finding
		{"plain, kept", others(0, "terminate")},                                 // the same, and EC2 says so
		{"plain, kept", roleLost("preserve", "dynamodb:*", 0, 20)},              // Protect it later
		{"plain, kept", roleLost("snapshot", "dynamodb:*", 0, 20)},              // Snapshot it later
		{"plain, kept", roleLost("preserve", "dynamodb:*", 0, days)},            // Protection failed
		{"plain, kept", roleLost("approval", "kms:*", 0, days)},                 // Nobody could be asked
		{"plain, kept", roleLost("console", "*", 0, days)},                      // The console is as it is
		{"plain, kept", undelivered},                                            // A decision stands
		{"plain, kept", others(65, "reconnect")},                                // Tell what was undone
		{"plain, kept", roleLost("close", "s3:*", 0, days)},                     // Tell that closing failed
		{"plain, terminated", roleLost("authorize", "ec2:CreateTags", 0, days)}, // asked again
		{"plain, released", roleLost("release", "ec2:*", 0, days)},              // asked again
		{"plain, kept", roleLost("digest", "s3:*", 0, days)},
		{"nobody answers", roleLost("close", "s3:*", 0, days)}, // Tell that it is not signed
		{"asked first, nobody answers", roleLost("notify", "sns:*", 0, days)},
		{"nobody answers", rehearsal.Script{Storms: append(roleLost("isolate", "ec2:*", 1000, days).Storms, roleLost("notify", "sns:*", 1000, days).Storms...)}},
		{"dry run", roleLost("notify", "sns:*", 0, days)},
		{"Auto Scaling and balancers", rehearsal.Script{Faults: []string{"dynamodb:PutItem#15=timeout", "autoscaling:EnterStandby#1=notfound"}}}, // Is it protected now?
		{"credentials denied", roleLost("credentials", "dynamodb:*", 0, days)},
		{"nobody answers", roleLost("isolate", "ec2:*", 200, 2000)},  // Tell that it cannot be verified
		{"nobody answers", roleLost("isolate", "ec2:*", 1000, days)}, // Tell that it is not sealed
		{"nobody answers", others(400, "reconnect")},                 // Tell what was undone meanwhile
		{"reminded, escalated", roleLost("approval", "dynamodb:*", 3000, 4500)},
		{"asked first, reminded", roleLost("approval", "dynamodb:*", 3000, 4500)},
		{"asked first, nobody answers", roleLost("approval", "kms:*", 0, days)}, // Nobody could be asked whether to isolate
		{"asked first, nobody answers", rehearsal.Script{People: []rehearsal.Choosing{{After: 60, Choice: incident.Leave}}}},
		{"asked before isolating", undelivered},
		{"asked before isolating", meanwhile}, // Superseded
		{"decided later", undelivered},
		{"decided later", roleLost("approval", "kms:*", 0, days)}, // Nobody could be asked late
		{"decided later", roleLost("release", "ec2:*", 0, days)},  // asked once more
		{"decided later", meanwhile},                              // Superseded
		{"asked later, nobody answers", roleLost("approval", "dynamodb:*", 1000, 2500)},
		{"opened by hand, asked later", roleLost("notify", "sns:*", 0, days)},                                                                       // How does it stand? Nobody can be told
		{"paused", rehearsal.Script{Faults: []string{"ssm:GetParameter#1=notfound", "ec2:DescribeRouteTables#1=timeout"}}},                          // Sign how it stands
		{"nobody answers", others(400, "terminate")},                                                                                                // There is nothing to look at
		{"never contained", rehearsal.Script{Storms: by["never contained"].script.Storms, Others: []rehearsal.Doing{{At: 300, What: "terminate"}}}}, // Its interfaces are gone
		{"never contained", ended(rehearsal.Script{})},                                                                                              // Look at what was taken
		{"never contained", ended(unseen)},                                                                                                          // the same, and Superseded
		{"never contained", rehearsal.Script{Storms: by["never contained"].script.Storms, Redrives: []rehearsal.Moving{{At: 9000}}}},
		{"plain, kept", operator(20, 300)},            // stopped in the capture
		{"plain, terminated", operator(20, 300)},      // and decided meanwhile
		{"nobody answers", operator(400, 1000)},       // stopped while people are asked
		{"nobody answers", operator(400, 8000)},       // until after the request had expired
		{"asked before isolating", operator(20, 300)}, // the same, not isolated
		{"decided later", operator(20, 300)},
		{"nobody answers", takenOver},                                               // Isolate instance, Superseded
		{"plain, kept", given(1.5)},                                                 // Start the memory capture
		{"plain, kept", given(20)},                                                  // Look at the memory
		{"termination refused", given(45)},                                          // Look at the snapshots, Is it contained now?
		{"plain, kept", given(32.45)},                                               // Seal the instance
		{"plain, kept", given(62.5)},                                                // Make sure it is sealed
		{"nobody answers", looking},                                                 // Look at the isolation, which finds out before approval can
		{"plain, terminated", kept("plain, terminated", "authorize", "ec2:*")},      // Authorize the termination
		{"plain, terminated", kept("plain, terminated", "terminate", "dynamodb:*")}, // Terminate instance
		{"plain, released", kept("plain, released", "release", "dynamodb:*")},       // Release instance
		{"plain, kept", kept("plain, kept", "close", "dynamodb:*")},                 // Close the incident
		{"nobody answers", kept("nobody answers", "close", "dynamodb:*")},           // Sign how it stands
		{"asked before isolating", asksNext},
	} {
		s := w.script
		s.People = append(slices.Clone(by[w.base].script.People), s.People...)
		trials = append(trials, trial{by[w.base], 1, clone(s)})
	}
	return trials
}

// unreached are states and transitions that no incident comes through, each with
// the reason. One that is reached after all is an error: the reason does not hold.
var unreached = map[string]string{
	"What was decided before isolating? -> Tell that it was not isolated": "the page offers to isolate or to leave alone there, and authorize knows nothing else; what is left stands for a choice that nobody has thought of",
	"What was decided later? -> Is anything half done?":                   "after a release that left something the page offers a release only, and before it everything; the same",
	"Gather evidence and ask -> Make sure it is sealed":                   "each branch catches what its tasks answer, and the two errors that it fails with have a way of their own; what is left is an error of Step Functions itself",
	"Was it undone meanwhile? -> The looks are over":                      "two hundred looks take 15 days, and a request lasts 7 at most; a bound for the history, should ApprovalHours grow",
}

// TestEveryWay comes through every state and takes every transition of the
// definition, or says why not.
func TestEveryWay(t *testing.T) {
	if testing.Short() {
		t.Skip("fifty incidents, some of them long")
	}
	all := bases(t)
	e := newEngine(unchanged)
	var trials []trial
	for _, b := range all {
		trials = append(trials, trial{b, 1, b.under()})
	}
	trials = append(trials, ways(all)...)
	for n, o := range e.all(trials) {
		if len(o.broken) > 0 || o.err != nil {
			t.Errorf("%s under %s: %q %v", trials[n].base.name, trials[n].line(), o.broken, o.err)
		}
	}
	missed, total := missing(t, e.seen)
	for _, m := range missed {
		if unreached[m] == "" {
			t.Errorf("no incident comes to %s: let one, or say why none can", m)
		}
	}
	for m := range unreached {
		if !slices.Contains(missed, m) {
			t.Errorf("%s is reached, or is there no more: the reason why not is wrong", m)
		}
	}
	t.Logf("%d of %d states and transitions", total-len(missed), total)
}

// found is what campaigns found, each mended since.
func found(all []*base) []trial {
	by := map[string]*base{}
	for _, b := range all {
		by[b.name] = b
	}
	worse := by["plain, kept"].racing[1]
	besides := operator(0.5, 100.8)
	besides.Events = []rehearsal.Delivery{{At: 100}}
	var trials []trial
	for _, c := range []struct {
		base   string
		seed   uint64
		script rehearsal.Script
	}{
		{"Auto Scaling and balancers", 1, rehearsal.Script{Faults: []string{"autoscaling:DescribeAutoScalingInstances#2=denied"}}},
		{"Auto Scaling and balancers", 1, rehearsal.Script{Faults: []string{"dynamodb:PutItem#15=timeout", "autoscaling:EnterStandby#1=notfound"}}},
		{"decided later", 1, rehearsal.Script{Faults: []string{"ec2:DescribeInstances#1=notfound"}}},
		// Two invocations of one step, of one execution and of two.
		{"plain, kept", 1, operator(0.36, 0.365)}, // about to take the set
		{"plain, kept", 1, operator(0.9, 1.1)},
		{"plain, kept", 1, operator(1.6, 1.62)}, // about to send the capture
		{"plain, kept", 1, besides},
		{"no SSM", 1576122185, rehearsal.Script{
			Faults: []string{"ec2:DescribeSecurityGroupRules#5=killed-before", "sfn:SendTaskSuccess#1=notfound"},
			Others: []rehearsal.Doing{{At: 28.461, What: "reconnect"}},
		}},
		{"asked before isolating", 2926409954, rehearsal.Script{
			Events: []rehearsal.Delivery{{At: 55.06, Event: worse}}, People: []rehearsal.Choosing{{After: 4.256, Choice: incident.Leave}},
		}},
		{"credentials denied", 1566823654, lost("ec2:ModifyNetworkInterfaceAttribute", sim.Denied, 1.125, 301.125)},
		{"credentials denied", 1566823654, lost("ec2:ModifyNetworkInterfaceAttribute", sim.Denied, 1.125, days)},
		{"no conversion", 4225239653, roleLost("journal", "s3:*", 3.896, days)},
		{"contained late", 2708081571, rehearsal.Script{Faults: []string{"ec2:ModifyNetworkInterfaceAttribute#80=late"}, Storms: lost("ec2:ModifyNetworkInterfaceAttribute", sim.Throttled, 0, 150).Storms}},
		{"a decision that cannot be verified", 1, rehearsal.Script{Faults: []string{"ec2:ModifyNetworkInterfaceAttribute#2=late"}}},
		{"a worse one after a release", 2821380454, rehearsal.Script{Faults: []string{"dynamodb:PutItem#1=late"}, Others: []rehearsal.Doing{{At: 24.76, What: "terminate"}}}},
		{"terminated after that", 4112004979, rehearsal.Script{Faults: []string{"ec2:DescribePrefixLists#1=timeout"}, Others: []rehearsal.Doing{{At: 29.048, What: "terminate"}}}},
		{"gone before it is released", 4110141268, rehearsal.Script{Faults: []string{"dynamodb:Query#3=timeout"}, Storms: append(lost("ec2:DescribeInstance*", sim.NotFound, 61, days).Storms, lost("dynamodb:*", sim.Throttled, 15.508, 75.508).Storms...)}},
		{"Auto Scaling and balancers", 230753272, rehearsal.Script{Faults: []string{"ec2:DescribePrefixLists#1=timeout"}, Storms: lost("dynamodb:*", sim.Throttled, 1.361, 301.361).Storms}},
		{"asked later, nobody answers", 2490701191, rehearsal.Script{Faults: []string{"ec2:DescribeSecurityGroupRules#1=timeout"}, Storms: lost("dynamodb:GetItem", sim.Unavailable, 18.848, 318.848).Storms}},
		{"never verified before isolating", 2387749122, rehearsal.Script{
			Storms: append(lost("kms:VerifyMac", sim.Denied, 0, days).Storms, lost("*", sim.Throttled, 358.924, 658.924).Storms...),
			People: []rehearsal.Choosing{{After: 50.959, Choice: incident.Isolate}},
		}},
		{"paused", 3322714353, rehearsal.Script{Faults: []string{"ssm:GetParameter#1=notfound", "ec2:DescribeRouteTables#1=timeout"}}},
		{"opened by hand, asked later", 3518745346, rehearsal.Script{Others: []rehearsal.Doing{{At: 4.547, What: "reconnect"}}, People: []rehearsal.Choosing{{After: 17.478, Choice: incident.Release}}}},
		{"paused", 120759672, rehearsal.Script{
			Faults: []string{"autoscaling:DescribeAutoScalingInstances#1=killed-before"}, Stops: []rehearsal.Moving{{At: 0.59}}, Redrives: []rehearsal.Moving{{At: 1046812.094}},
		}},
		{"joined by a second finding", 3335691681, rehearsal.Script{Storms: lost("dynamodb:PutItem", sim.Denied, 0.151, 300.151).Storms, Others: []rehearsal.Doing{{At: 15.806, What: "attach"}}}},
		{"a repeat after a release", 1812174316, rehearsal.Script{Faults: []string{"dynamodb:Query#2=timeout", "dynamodb:Query#3=throttled"}, Storms: lost("sns:*", sim.Throttled, 21.432, 81.432).Storms}},
		{"gone before it is released", 2324767009, rehearsal.Script{
			Storms: append(lost("ec2:DescribeInstance*", sim.NotFound, 61, days).Storms, lost("ec2:ModifyNetworkInterfaceAttribute", sim.Throttled, 1.209, 301.209).Storms...),
			Others: []rehearsal.Doing{{At: 33.995, What: "terminate"}},
		}},
		{"never verified before isolating", 507425009, rehearsal.Script{Storms: append(lost("kms:VerifyMac", sim.Denied, 0, days).Storms, lost("sns:*", sim.Throttled, 11.767, 311.767).Storms...)}},
		{"released in part", 1919699133, lost("sns:*", sim.Unavailable, 8.684, 308.684)},
		{"released in part", 4006043162, roleLost("close", "dynamodb:*", 3.379, days)},
		{"asked before isolating", 1930462061, rehearsal.Script{People: []rehearsal.Choosing{{After: 2.483, Choice: incident.Isolate}}, Stops: []rehearsal.Moving{{At: 11.336}}, Redrives: []rehearsal.Moving{{At: 607758.477}}}},
		{"decided later by two, by command", 1, by["decided later by two, by command"].under("dynamodb:Query#5=killed-before", "dynamodb:Query#6=throttled", "dynamodb:Query#7=timeout", "kms:GenerateMac#4=unavailable")},
		{"gone before it is marked", 3929458535, rehearsal.Script{
			Storms: append(lost("ec2:DescribeInstances", sim.NotFound, 30, days).Storms, roleLost("enrich", "dynamodb:Query", 138.5, 139.5).Storms...),
			Others: []rehearsal.Doing{{At: 26.494, What: "terminate"}}, Events: []rehearsal.Delivery{{At: 56.251, Event: worse}},
		}},
		{"paused", 3699102886, rehearsal.Script{Faults: []string{"ec2:DescribeInstances#1=denied", "ssm:GetParameter#1=unavailable"}}},
	} {
		trials = append(trials, trial{by[c.base], c.seed, clone(c.script)})
	}
	return trials
}

// TestFoundBefore runs again what was found before.
func TestFoundBefore(t *testing.T) {
	e := newEngine(unchanged)
	for _, trial := range found(bases(t)) {
		if o := e.run(trial, newWay()); len(o.broken) > 0 || o.err != nil {
			t.Errorf("%s, seed %d: %q %v", trial.base.name, trial.seed, o.broken, o.err)
		}
	}
}

// tempted are incidents in which one check is all that keeps harm away: a forger, a
// decision that expires, others in the moment before something is done. None of it
// comes to anything; a mutant that leaves the check out lets it.
func tempted(all []*base) []trial {
	by := map[string]*base{}
	for _, b := range all {
		by[b.name] = b
	}
	worse := by["plain, kept"].racing
	during := func(at float64, what string, storms rehearsal.Script) rehearsal.Script {
		storms.Others = []rehearsal.Doing{{At: at, What: what}}
		return storms
	}
	// A decision holds for a week; the step that acts on it is entered again after more.
	expired := roleLost("terminate", "dynamodb:*", 60, 90)
	expired.Stops, expired.Redrives = []rehearsal.Moving{{At: 66}}, []rehearsal.Moving{{At: 8 * 24 * 3600}}
	// Taken over between a decision and what it comes to, and redriven before people are
	// asked anew: nothing else refuses the decision then.
	taken := func(name, function string, again float64) trial {
		at := by[name].first(function, "*")
		s := operator(at+2, at+4+again)
		s.Storms = roleLost(function, "ec2:*", at-1, at+4).Storms
		s.Others = []rehearsal.Doing{{At: at + 1, What: "reconnect"}}
		s.Events = []rehearsal.Delivery{{At: at + 4, Event: worse[1]}}
		return trial{by[name], 1, s}
	}
	trials := []trial{
		taken("plain, released", "release", 0.5),
		taken("plain, terminated", "terminate", 1),
		{by["plain, terminated"], 1, expired},
		{by["plain, terminated"], 1, during(70, "reconnect", roleLost("terminate", "dynamodb:*", 60, 80))},
		{by["plain, kept"], 1, during(50, "reconnect", roleLost("isolate", "ec2:*", 45, days))},
		{by["plain, kept"], 1, rehearsal.Script{Events: []rehearsal.Delivery{{At: 5, Event: worse[0]}, {At: 20, Event: worse[1]}}}},
		{japanese(by["plain, terminated"]), 1, rehearsal.Script{}},
		{japanese(by["copies elsewhere"]), 1, rehearsal.Script{}},
		{japanese(by["memory fails"]), 1, rehearsal.Script{}},
	}
	for _, what := range []string{"forge decision", "forge release"} {
		for _, name := range []string{"plain, terminated", "nobody answers", "decided later"} {
			trials = append(trials, trial{by[name], 1, during(30, what, rehearsal.Script{})})
		}
	}
	for _, how := range sim.Forgeries {
		trials = append(trials, trial{by["two people terminate"], 1, rehearsal.Script{People: []rehearsal.Choosing{{After: 30, Choice: incident.Terminate, As: "sato", Forged: how}}}})
	}
	return trials
}

// TestTempted: what only a check keeps away stays away, and each is tried.
func TestTempted(t *testing.T) {
	e := newEngine(unchanged)
	trials := tempted(bases(t))
	for n, o := range e.all(trials) {
		tr := trials[n]
		if len(o.broken) > 0 || o.err != nil {
			t.Errorf("%s under %s: %q %v", tr.base.name, tr.line(), o.broken, o.err)
		}
		if hit, drawn := o.hit(tr), drawnKinds(tr); len(hit) != len(drawn) {
			t.Errorf("%s under %s: only %q of %q came to something", tr.base.name, tr.line(), hit, drawn)
		}
	}
}
