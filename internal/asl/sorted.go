package asl

import (
	"maps"
	"slices"
)

// sorted is an object whose keys have no order of their own: some functions of
// JSONata make such, and a Go map would give them another order every time.
type sorted map[string]any

func (s sorted) Keys() []string { return slices.Sorted(maps.Keys(s)) }

func (s sorted) Get(key string) (any, bool) { v, ok := s[key]; return v, ok }
