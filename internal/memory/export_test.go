package memory

// InWords is inWords, for tests.
var InWords = inWords

// PlanFor is planFor, for tests.
func PlanFor(memory int64) (partBytes int64, parts, seconds int) {
	p := planFor(memory)
	return p.PartBytes, p.MaxParts, p.RunSeconds
}
