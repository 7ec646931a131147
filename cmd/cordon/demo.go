package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"cordon"
	"cordon/internal/rehearsal"
)

type demo struct {
	Event    string `arg:"" help:"An EventBridge event."`
	Decision string `help:"What is decided: terminate, keep, release, or none; isolate or leave where a brake asks before isolating. Without it you decide; without a terminal it is terminate." enum:"terminate,keep,release,isolate,leave,none," default:""`
	Report   string `help:"Where the report of the incident is written, to be looked at with a browser." placeholder:"FILE"`
}

// Run rehearses for somebody who looks on. On a terminal without a decision
// they decide; otherwise the page is opened, read and posted over HTTP.
func (c *demo) Run(s streams) error {
	r := rehearse{Event: c.Event, Seed: 1}
	o, err := r.options(s)
	if err != nil {
		return err
	}
	p, err := servePage(s.err)
	if err != nil {
		return err
	}
	defer p.close()
	choice := c.Decision
	if choice == "" && !s.terminal {
		choice = "terminate"
		fmt.Fprintln(s.out, "There is no terminal: the decision is made over HTTP, as a person would. DECISION=keep|release|terminate chooses it.")
	}
	failed := make(chan error, 1)
	o.Person = func(q rehearsal.Question) {
		if choice != "" {
			p.asked = func(link string) {
				fmt.Fprintf(s.out, "\n  A decision is asked for. The page is opened at %s\n", strings.SplitAfter(link, "/d/")[0]+"…")
				go func() {
					if err := decideOverHTTP(link, choice, q.InstanceID); err != nil {
						failed <- fmt.Errorf("decide over HTTP: %w", err)
						close(p.gone)
					}
				}()
			}
		}
		p.ask(q)
	}
	if choice == "none" {
		o.Person = nil
	}
	o.Watch = newTimeline(s.out, cordon.Definition).show
	res, err := rehearsal.Run(o)
	if err != nil {
		return err
	}
	select {
	case err := <-failed:
		return err
	default:
	}
	summary(s.out, res)
	if c.Report != "" && res.Report != nil {
		if err := os.WriteFile(c.Report, res.Report, 0o600); err != nil {
			return fmt.Errorf("write the report: %w; give --report a file that can be written", err)
		}
		fmt.Fprintf(s.out, "\nThe report of this incident: open %s with a browser.\n", c.Report)
	}
	return r.judge(s, res)
}

// decideOverHTTP does what a person does: opens the page, reads it, types the
// instance ID, posts.
func decideOverHTTP(link, choice, instanceID string) error {
	client := http.Client{Timeout: 10 * time.Second}
	shown, err := client.Get(link)
	if err != nil {
		return err
	}
	defer shown.Body.Close()
	text, err := io.ReadAll(shown.Body)
	if err != nil {
		return err
	}
	if shown.StatusCode != http.StatusOK || !strings.Contains(string(text), instanceID) {
		return fmt.Errorf("the page answered %s and does not show %s", shown.Status, instanceID)
	}
	posted, err := client.PostForm(link, rehearsal.Form(string(text), choice, instanceID))
	if err != nil {
		return err
	}
	defer posted.Body.Close()
	if posted.StatusCode >= http.StatusBadRequest {
		return fmt.Errorf("the page refused the decision: %s", posted.Status)
	}
	return nil
}
