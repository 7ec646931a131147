// Command artifact checks what sam build made of the functions below the
// current folder:
//
//	artifact BUILD [AGAIN]
//
// BUILD is a folder that sam build filled. With AGAIN, a second build of the
// same code, both must be the same.
package main

import (
	"errors"
	"fmt"
	"os"

	"cordon/internal/artifact"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(builds []string) error {
	if len(builds) < 1 || len(builds) > 2 {
		return errors.New("usage: artifact BUILD [AGAIN]")
	}
	functions, err := os.ReadDir("functions")
	if err != nil {
		return fmt.Errorf("run this where the project is: %w", err)
	}
	var names []string
	for _, f := range functions {
		names = append(names, f.Name())
	}
	wrong := artifact.Check(builds[0], names)
	if len(builds) == 2 {
		wrong = errors.Join(wrong, artifact.Same(builds[0], builds[1], names))
	}
	return wrong
}
