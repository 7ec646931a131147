package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// documents hands each JSON value of a stream to handle as soon as it is
// complete: several on a line, or one over several lines. After a syntax error it
// goes on at the next line; handle then gets the error and no document. A line
// that is a document of its own always begins one, so that one that was cut
// short does not swallow those behind it.
func documents(r io.Reader, handle func(doc []byte, bad error) error) error {
	in := bufio.NewReader(r)
	var pending []byte
	for {
		line, err := in.ReadBytes('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("reading documents: %w", err)
		}
		last := err != nil
		if len(pending) > 0 && standsAlone(line) {
			if err := handle(nil, errors.New("a document ends before it is complete")); err != nil {
				return err
			}
			pending = nil
		}
		pending = append(pending, line...)
		if last || !within(pending) {
			if pending, err = drain(pending, handle); err != nil {
				return err
			}
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

// within says whether a text ends inside an object or an array.
func within(text []byte) bool {
	depth, quoted := 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted && c == '\n':
			return false // no string goes on there: a syntax error
		case quoted:
		case c == '{' || c == '[':
			depth++
		case c == '}' || c == ']':
			depth--
		}
	}
	return depth > 0
}

func standsAlone(line []byte) bool {
	if len(line) == 0 || line[0] != '{' {
		return false
	}
	var doc map[string]json.RawMessage
	return json.Unmarshal(line, &doc) == nil && doc["definition"] != nil
}
