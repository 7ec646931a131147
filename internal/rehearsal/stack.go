package rehearsal

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"cordon/internal/asl"
	"cordon/internal/eventpattern"
	"cordon/internal/sim"
	"cordon/internal/template"
)

// stackName is the name under which the template is deployed.
const stackName = "cordon"

// stack is the template deployed with the definition. It is only read, so that all
// rehearsals with the same settings share it.
type stack struct {
	of         settings
	deployment *template.Deployment
	machineARN string
	machineID  string
	machine    *asl.Machine
	broken     error // in the place of the machine
	rules      []rule
	documents  map[string]*sim.Document // by name
}

// settings are what a stack is made of.
type settings struct {
	template, definition []byte
	parameters           map[string]string
	account, region      string
}

func (s settings) equal(o settings) bool {
	return s.account == o.account && s.region == o.region && maps.Equal(s.parameters, o.parameters) &&
		bytes.Equal(s.template, o.template) && bytes.Equal(s.definition, o.definition)
}

type rule struct {
	logicalID string
	pattern   *eventpattern.Pattern
	targets   []template.Target
}

// cache keeps what was made last, to be found again by what it was made of.
type cache[T any] struct {
	mu   sync.Mutex
	made []T
}

// most is how much a cache keeps: more than a campaign has kinds of.
const most = 64

func (c *cache[T]) find(same func(T) bool) (found T, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n := slices.IndexFunc(c.made, same); n >= 0 {
		return c.made[n], true
	}
	return found, false
}

func (c *cache[T]) keep(made T) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.made) >= most {
		c.made = nil
	}
	c.made = append(c.made, made)
}

// stacks are those made last. To read the template and the definition again costs
// more than what many a rehearsal does with them.
var stacks cache[*stack]

// deployed is the stack of some options in an account and a Region.
func deployed(o Options, account, region string) (*stack, error) {
	of := settings{o.Template, o.Definition, o.Parameters, account, region}
	if s, ok := stacks.find(func(s *stack) bool { return s.of.equal(of) }); ok {
		return s, nil
	}
	s, err := deploy(o, account, region)
	if err != nil {
		return nil, err
	}
	s.of = settings{slices.Clone(o.Template), slices.Clone(o.Definition), maps.Clone(o.Parameters), account, region}
	stacks.keep(s)
	return s, nil
}

func deploy(o Options, account, region string) (*stack, error) {
	t, err := template.Parse(o.Template)
	if err != nil {
		return nil, err
	}
	parameters := map[string]string{}
	for _, p := range t.Parameters() {
		if v, ok := Defaults[p.Name]; ok && p.Required {
			parameters[p.Name] = v
		}
	}
	for k, v := range o.Parameters {
		parameters[k] = v
	}
	s := &stack{}
	if s.deployment, err = t.Deploy(template.Settings{Account: account, Region: region, Stack: stackName, Parameters: parameters}); err != nil {
		return nil, err
	}
	for _, r := range s.deployment.Rules() {
		if r.Schedule != "" {
			continue // no event starts it, and no incident is about it
		}
		p, err := eventpattern.Parse(r.Pattern)
		if err != nil {
			return nil, fmt.Errorf("rule %s: %w", r.LogicalID, err)
		}
		s.rules = append(s.rules, rule{r.LogicalID, p, r.Targets})
	}
	s.documents = map[string]*sim.Document{}
	for _, id := range []string{"MemoryDocument", "MemoryWindowsDocument"} {
		document, ok := s.deployment.Resource(id)
		if !ok {
			return nil, fmt.Errorf("template: there is no %s", id)
		}
		content, err := json.Marshal(document.Properties["Content"])
		if err == nil {
			s.documents[document.Ref], err = sim.ReadDocument(content)
		}
		if err != nil {
			return nil, fmt.Errorf("template: %s: %w", id, err)
		}
	}
	m, ok := s.deployment.StateMachine()
	if !ok {
		s.broken = errors.New("template: there is no state machine")
		return s, nil
	}
	s.machineARN, s.machineID = m.ARN, m.LogicalID
	text, err := template.Substitute(o.Definition, m.Substitutions)
	if err == nil {
		s.machine, err = asl.Parse(text)
	}
	s.broken = err
	return s, nil
}

// matches says whether the rule that starts an incident lets the event through.
func (s *stack) matches(e eventpattern.Event) bool {
	for _, r := range s.rules {
		for _, t := range r.targets {
			if t.Resource == s.machineID && r.pattern.Matches(e) {
				return true
			}
		}
	}
	return false
}
