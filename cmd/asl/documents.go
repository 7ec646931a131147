package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
)

// documents hands each JSON value of a stream to handle as soon as it is
// complete: several on a line, or one over several lines. After a syntax error it
// goes on at the next line; handle then gets the error and no document. What looks
// like a document of its own within one is one, so that a document that was cut short
// does not swallow those behind it.
func documents(r io.Reader, handle func(doc []byte, bad error) error) error {
	in := bufio.NewReader(r)
	var pending []byte
	var at nesting            // at the end of pending
	from, of := -1, nesting{} // of what may be a document of its own within pending, and its end
	torn := func() error { return handle(nil, errors.New("a document ends before it is complete")) }
	for {
		line, err := in.ReadBytes('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("reading documents: %w", err)
		}
		last := err != nil
		line = bytes.TrimPrefix(line, byteOrder)
		switch within := len(bytes.TrimSpace(pending)) > 0; {
		case within && begins.Match(line):
			if err := torn(); err != nil {
				return err
			}
			pending, at, from = nil, nesting{}, -1
		case within && from < 0 && mayBegin.Match(line):
			from, of = len(pending), nesting{}
		}
		pending = append(pending, line...)
		if from >= 0 {
			if of.read(line); !of.inside() {
				if defines(pending[from:]) {
					if err := torn(); err != nil {
						return err
					}
					pending, at = pending[from:], nesting{}
					at.read(pending[:len(pending)-len(line)])
				}
				from = -1
			}
		}
		if at.read(line); last || !at.inside() {
			if pending, err = drain(pending, handle); err != nil {
				return err
			}
			at = nesting{}
			at.read(pending)
		}
		if last {
			if len(bytes.TrimSpace(pending)) > 0 {
				return handle(nil, errors.New("the last document ends before it is complete"))
			}
			return nil
		}
	}
}

// drain handles what is complete and returns what may still become so.
func drain(text []byte, handle func([]byte, error) error) ([]byte, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	for {
		before := d.InputOffset()
		var doc json.RawMessage
		switch err := d.Decode(&doc); {
		case errors.Is(err, io.EOF):
			return nil, nil
		case errors.Is(err, io.ErrUnexpectedEOF):
			return bytes.Clone(text[before:]), nil
		case err != nil:
			return nil, handle(nil, fmt.Errorf("not JSON: %w", err))
		}
		if err := handle(doc, nil); err != nil {
			return nil, err
		}
	}
}

// nesting follows how deep in objects and arrays a text is.
type nesting struct {
	depth          int
	quoted, escape bool
}

func (n *nesting) read(text []byte) {
	for _, c := range text {
		switch {
		case n.escape:
			n.escape = false
		case n.quoted && c == '\\':
			n.escape = true
		case c == '"':
			n.quoted = !n.quoted
		case n.quoted:
		case c == '{' || c == '[':
			n.depth++
		case c == '}' || c == ']':
			n.depth--
		}
	}
}

// inside says whether a value goes on at the next line. No string does: that is a
// syntax error, to be found now.
func (n *nesting) inside() bool { return n.depth > 0 && !n.quoted }

// byteOrder is the mark that some editors put before a text, and that stays where
// texts are put one behind the other.
var byteOrder = []byte("\ufeff")

// begins recognises a line that begins a document, mayBegin one that may: a part of a
// document may look so.
var (
	begins   = regexp.MustCompile(`^\{\s*"definition"\s*:`)
	mayBegin = regexp.MustCompile(`^\{\s*"`) // with a note, or its input
)

// defines says whether a text is a document with a definition.
func defines(text []byte) bool {
	var d map[string]json.RawMessage
	return json.NewDecoder(bytes.NewReader(text)).Decode(&d) == nil && d["definition"] != nil
}
