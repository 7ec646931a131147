package sim

import (
	"io"
	"strings"
)

// body is what GetObject answers: n bytes of an object from offset on. Read
// gives them as they are. Copied as a whole (io.Copy), zeros that nobody stores
// are thinned to one for each MiB, and what tells contents of the same bytes
// apart is put in: so an image of hundreds of gigabytes can be hashed in a
// rehearsal, by whoever wrote it and by whoever reads it alike, in any ranges.
type body struct {
	o         *object
	offset, n int64
	r         io.Reader
}

func (o *object) body(offset, n int64) *body {
	return &body{o: o, offset: offset, n: n, r: o.reader(offset, n)}
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	b.offset, b.n = b.offset+int64(n), b.n-int64(n)
	return n, err
}

func (b *body) Close() error { return nil }

// WriteTo returns how many bytes of the object were copied.
func (b *body) WriteTo(w io.Writer) (int64, error) {
	offset, n := b.offset, b.n
	for _, p := range b.o.parts {
		if offset >= p.Length {
			offset -= p.Length
			continue
		}
		take := min(n, p.Length-offset)
		if err := p.thin(w, offset, take); err != nil {
			return b.n - n, err
		}
		offset, n = 0, n-take
	}
	return b.n, nil
}

// thin writes n bytes from offset on, thinned.
func (c Content) thin(w io.Writer, offset, n int64) error {
	const every = 1 << 20
	end, head := offset+n, int64(len(c.Head))
	if offset < head {
		if _, err := w.Write(c.Head[offset:min(head, end)]); err != nil {
			return err
		}
	}
	if at := max(0, min(head, c.Length-1)); c.Hash != "" && offset <= at && at < end {
		if _, err := io.WriteString(w, c.Hash); err != nil {
			return err
		}
	}
	if from := max(offset, head); from < end {
		if marks := (end+every-1)/every - (from+every-1)/every; marks > 0 {
			_, err := io.WriteString(w, strings.Repeat("\x00", int(marks)))
			return err
		}
	}
	return nil
}
