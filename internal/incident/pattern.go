package incident

import "strings"

// Pattern is a text in which * stands for any text, as in a policy of IAM.
type Pattern string

// Matches compares the whole text; upper and lower case differ.
func (p Pattern) Matches(text string) bool {
	parts := strings.Split(string(p), "*")
	rest, ok := strings.CutPrefix(text, parts[0])
	if !ok || len(parts) == 1 {
		return ok && rest == ""
	}
	last := parts[len(parts)-1]
	for _, part := range parts[1 : len(parts)-1] {
		n := strings.Index(rest, part)
		if n < 0 {
			return false
		}
		rest = rest[n+len(part):]
	}
	return strings.HasSuffix(rest, last)
}
