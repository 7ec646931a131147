// Command asl runs state machines on a virtual clock with mocked tasks, so that
// the interpreter can be held against cases from elsewhere.
//
// It reads JSON documents on standard input until its end and prints one line for
// each. A document:
//
//	{"definition": {…}, "input": …, "mocks": {"STATE NAME": [M, …]}, "time": "virtual"}
//
// Each attempt of a task, retries included, takes the next M of its state, after
// 0 seconds: {"return": V}, {"error": "Name", "cause": "text"} or {"pending": true},
// which never answers. For a task that waits for its token, V is what the token's
// holder sends. An input that is left out is {}. Other fields of a document are notes
// on the case; where one stands and the input is missing it may be that, misspelt.
//
// A line:
//
//	{"status": "SUCCEEDED", "output": …, "error": null, "cause": null, "calls": [{"state": …, "arguments": …}]}
//	{"status": "UNSUPPORTED", "reason": "…"}
//
// It exits with 0 whatever the documents hold.
package main

import (
	"bufio"
	"fmt"
	"os"
)

func main() {
	out := bufio.NewWriter(os.Stdout)
	err := documents(os.Stdin, func(doc []byte, bad error) error {
		if _, err := out.Write(append(answer(doc, bad), '\n')); err != nil {
			return err
		}
		return out.Flush()
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, "asl:", err)
		os.Exit(1)
	}
}
