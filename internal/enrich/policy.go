package enrich

import (
	"encoding/json"
	"fmt"
	"strings"
)

// request is one that must pass an endpoint's policy.
type request struct{ action, resource string }

// statement is one of a policy. What is not understood is looked for by name.
type statement struct {
	Effect       string
	Principal    json.RawMessage
	Action       texts
	Resource     texts
	NotPrincipal json.RawMessage
	NotAction    json.RawMessage
	NotResource  json.RawMessage
	Condition    json.RawMessage
}

// texts is a string or a list of strings.
type texts []string

func (t *texts) UnmarshalJSON(b []byte) error {
	var one string
	if json.Unmarshal(b, &one) == nil {
		*t = texts{one}
		return nil
	}
	return json.Unmarshal(b, (*[]string)(t))
}

// statements reads a policy. None stands for the one that AWS attaches then,
// which allows everything:
// https://docs.aws.amazon.com/vpc/latest/privatelink/vpc-endpoints-access.html
func statements(document string) ([]statement, error) {
	if document == "" {
		return []statement{{Effect: "Allow", Principal: json.RawMessage(`"*"`), Action: texts{"*"}, Resource: texts{"*"}}}, nil
	}
	var policy struct{ Statement json.RawMessage }
	if err := json.Unmarshal([]byte(document), &policy); err != nil {
		return nil, fmt.Errorf("it cannot be read: %w", err)
	}
	var all []statement
	if json.Unmarshal(policy.Statement, &all) == nil {
		return all, nil
	}
	all = make([]statement, 1)
	if err := json.Unmarshal(policy.Statement, &all[0]); err != nil {
		return nil, fmt.Errorf("it cannot be read: %w", err)
	}
	return all, nil
}

// allows is empty if a policy lets a request through for certain, else why not.
// Conditions and negations depend on more than is known here, so they say no.
func allows(document string, r request) string {
	all, err := statements(document)
	if err != nil {
		return err.Error()
	}
	allowed := false
	for _, s := range all {
		if s.unclear() {
			return "it cannot be told whether it lets through to the evidence bucket, because it has conditions, negations, variables or named principals"
		}
		if !s.covers(r) {
			continue
		}
		switch s.Effect {
		case "Allow":
			allowed = true
		case "Deny":
			return fmt.Sprintf("it denies %s on %s", r.action, r.resource)
		default:
			return fmt.Sprintf("it has a statement with effect %q", s.Effect)
		}
	}
	if !allowed {
		return fmt.Sprintf("it does not allow %s on %s", r.action, r.resource)
	}
	return ""
}

// elsewhere tells whether a policy may let requests through that no capture makes.
func elsewhere(document string, needs []request) bool {
	for _, n := range needs {
		bucket, key, _ := strings.Cut(n.resource, "/")
		if allows(document, request{n.action, bucket + "-of-others/" + key}) == "" ||
			allows(document, request{n.action, bucket[:strings.LastIndexByte(bucket, ':')+1] + "another/" + key}) == "" {
			return true
		}
	}
	return false
}

func (s statement) unclear() bool {
	for _, raw := range []json.RawMessage{s.NotPrincipal, s.NotAction, s.NotResource, s.Condition} {
		if len(raw) > 0 && string(raw) != "null" && string(raw) != "{}" {
			return true
		}
	}
	for _, t := range append(append(texts{}, s.Action...), s.Resource...) {
		if strings.Contains(t, "${") {
			return true
		}
	}
	return !s.everybody()
}

// everybody tells whether a statement is about whoever asks.
func (s statement) everybody() bool {
	var one texts
	if json.Unmarshal(s.Principal, &one) == nil {
		return len(one) == 1 && one[0] == "*"
	}
	var by map[string]texts
	if json.Unmarshal(s.Principal, &by) != nil {
		return false
	}
	return len(by["AWS"]) == 1 && by["AWS"][0] == "*"
}

func (s statement) covers(r request) bool {
	action, resource := false, false
	for _, p := range s.Action {
		action = action || match(strings.ToLower(p), strings.ToLower(r.action))
	}
	for _, p := range s.Resource {
		resource = resource || match(p, r.resource)
	}
	return action && resource
}

// match compares with a pattern in which * is any text and ? any character.
// It goes back to the last star only, so that no pattern takes long.
func match(pattern, text string) bool {
	p, t, star, from := 0, 0, -1, 0
	for t < len(text) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, from = p, t
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == text[t]):
			p++
			t++
		case star >= 0:
			from++
			p, t = star+1, from
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}
