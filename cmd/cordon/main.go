// Command cordon is the operator's tool.
//
// Exit status: 0 as the machine means it to be, 1 not contained, failed, an
// invariant violated, evidence that does not hold or nobody who is told, 2 bad
// input.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/alecthomas/kong"
	"golang.org/x/term"
)

const (
	exitOK  = 0
	exitBad = 1 // the rehearsed incident ended badly
	exitUse = 2 // the input is wrong
)

// errBad is what a command was asked about and is bad: told already, only the
// status is left.
var errBad = errors.New("it is bad")

type commands struct {
	Rehearse  rehearse  `cmd:"" help:"Run an event through what would be deployed, against an account in memory."`
	List      list      `cmd:"" help:"List the incidents of a stack, the newest first."`
	Show      show      `cmd:"" help:"Show what the record holds of an incident."`
	Decide    decide    `cmd:"" help:"Decide about an incident, also months later, as who your AWS credentials say."`
	Subscribe subscribe `cmd:"" help:"Confirm who is told, so that no mail scanner can end it; say who is."`
	Verify    verify    `cmd:"" help:"Check what an incident left where it lies, or a copy of the evidence bucket offline."`
	Demo      demo      `cmd:"" help:"Rehearse with a timeline and a page in the browser, as make demo does."`
}

// streams are where a command reads and writes.
type streams struct {
	in       io.Reader
	out, err io.Writer
	terminal bool                   // a person sits there
	hidden   func() (string, error) // reads a line that is not shown; nil where nobody types
}

func main() {
	s := streams{in: os.Stdin, out: os.Stdout, err: os.Stderr, terminal: onTerminal(os.Stdin, os.Stdout)}
	if onTerminal(os.Stdin) {
		s.hidden = func() (string, error) {
			line, err := term.ReadPassword(int(os.Stdin.Fd()))
			return string(line), err
		}
	}
	os.Exit(run(os.Args[1:], s))
}

func run(args []string, s streams) (status int) {
	var c commands
	done := -1
	parser, err := kong.New(&c, kong.Name("cordon"), kong.Writers(s.out, s.err), kong.Exit(func(n int) { done = n }),
		kong.Description("Cordon answers GuardDuty findings about EC2 instances."), kong.UsageOnError())
	if err != nil {
		fmt.Fprintln(s.err, "cordon:", err)
		return exitUse
	}
	parsed, err := parser.Parse(args)
	if done >= 0 {
		return done // --help
	}
	if err != nil {
		fmt.Fprintf(s.err, "cordon: %v; cordon --help lists what there is\n", err)
		return exitUse
	}
	switch err := parsed.Run(s); {
	case err == nil:
		return exitOK
	case errors.Is(err, errBad):
		return exitBad
	default:
		fmt.Fprintln(s.err, "cordon:", err)
		return exitUse
	}
}
