//go:build kernel && linux

package memory_test

import (
	"encoding/binary"
	"fmt"
)

// addresses is a range of physical addresses, both ends in it.
type addresses struct{ first, last uint64 }

// segment is a range of memory with what was in it.
type segment struct {
	addresses
	content []byte
}

// readLiME reads an image of the format that LiME writes, version 1: before each
// range a header of 32 bytes, with nothing between ranges and nothing after.
// https://github.com/504ensicsLabs/LiME/blob/master/doc/README.md
func readLiME(image []byte) ([]segment, error) {
	const header, magic = 32, 0x4C694D45
	var all []segment
	for at := 0; at < len(image); {
		rest := image[at:]
		if len(rest) < header {
			return nil, fmt.Errorf("at %d: %d bytes are no header", at, len(rest))
		}
		if m, v := binary.LittleEndian.Uint32(rest), binary.LittleEndian.Uint32(rest[4:]); m != magic || v != 1 {
			return nil, fmt.Errorf("at %d: magic %08x version %d, want %08x version 1", at, m, v, magic)
		}
		s := segment{addresses: addresses{binary.LittleEndian.Uint64(rest[8:]), binary.LittleEndian.Uint64(rest[16:])}}
		size := s.last - s.first + 1
		if s.last < s.first || size > uint64(len(rest)-header) {
			return nil, fmt.Errorf("at %d: the range %x-%x does not end within the image", at, s.first, s.last)
		}
		s.content = rest[header : header+size]
		all = append(all, s)
		at += header + int(size)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("the image is empty")
	}
	return all, nil
}

// uncovered are the parts of ram that no segment holds.
func uncovered(ram []addresses, segments []segment) []addresses {
	rest := ram
	for _, s := range segments {
		var next []addresses
		for _, r := range rest {
			if s.last < r.first || r.last < s.first {
				next = append(next, r)
				continue
			}
			if r.first < s.first {
				next = append(next, addresses{r.first, s.first - 1})
			}
			if s.last < r.last {
				next = append(next, addresses{s.last + 1, r.last})
			}
		}
		rest = next
	}
	return rest
}
