package digest

// SetRange makes requests of n bytes, so that a test's image need not be large.
func (s *Step) SetRange(n int64) { s.rangeBytes = n }
