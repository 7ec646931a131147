package message_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// The catalogue is read from its source: a map says nothing of what a key that
// stands twice, or lacks a language, once was.
func entries(t *testing.T) map[string][2]string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "catalogue.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][2]string{}
	ast.Inspect(file, func(n ast.Node) bool {
		pair, ok := n.(*ast.KeyValueExpr)
		if !ok {
			return true
		}
		key, value := literal(pair.Key), pair.Value.(*ast.CompositeLit)
		if len(value.Elts) != 2 {
			t.Errorf("%s has %d texts, want English and Japanese", key, len(value.Elts))
			return false
		}
		all[key] = [2]string{literal(value.Elts[0]), literal(value.Elts[1])}
		return false
	})
	return all
}

// literal is a string, perhaps written as a sum.
func literal(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.BasicLit:
		s, _ := strconv.Unquote(e.Value)
		return s
	case *ast.BinaryExpr:
		return literal(e.X) + literal(e.Y)
	}
	return ""
}

var (
	names    = regexp.MustCompile(`\{[a-zA-Z0-9]+\}`)
	japanese = regexp.MustCompile(`[\p{Hiragana}\p{Katakana}\p{Han}]`)
)

func TestBothLanguagesSayTheSame(t *testing.T) {
	all := entries(t)
	if len(all) < 100 {
		t.Fatalf("only %d entries were read", len(all))
	}
	wordless := []string{"quote", "executionARN", "asked.next", "askedAgain.next"}
	for key, text := range all {
		en, ja := text[0], text[1]
		facts := func(s string) []string {
			found := names.FindAllString(s, -1)
			slices.Sort(found)
			return slices.Compact(found)
		}
		if !slices.Equal(facts(en), facts(ja)) {
			t.Errorf("%s: English has the facts %v, Japanese %v", key, facts(en), facts(ja))
		}
		if strings.Count(en, "\n") != strings.Count(ja, "\n") {
			t.Errorf("%s: English and Japanese have a different number of items", key)
		}
		if slices.Contains(wordless, key) {
			continue
		}
		if en == "" || !japanese.MatchString(ja) || japanese.MatchString(en) {
			t.Errorf("%s: %q / %q is not English / Japanese", key, en, ja)
		}
	}
}

// A key that nothing uses is a text that nobody keeps true.
func TestEveryEntryIsUsed(t *testing.T) {
	var used strings.Builder
	for _, file := range []string{"message.go", "evidence.go", "page.go", "problem.go", "plain.go", "../decide/decide.go", "../decide/facts.go", "../decide/progress.go", "../decide/page.go", "../decide/page.html", "../snapshot/snapshot.go", "../snapshot/describe.go", "../decide/operator.go", "../decide/visitor.go", "../report/report.go", "../report/timeline.go"} {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		used.Write(b)
	}
	for key := range entries(t) {
		// Some are put together from a prefix and a code.
		prefix, _, _ := strings.Cut(key, ".")
		built := slices.Contains([]string{"open", "opening", "place", "denial", "error", "status", "choice", "does", "role", "snapshot", "purpose", "known", "ending", "after", "part"}, prefix)
		for _, suffix := range []string{".subject", ".story", ".stake", ".next", ".title"} {
			built = built || strings.HasSuffix(key, suffix)
		}
		if name, ok := strings.CutPrefix(key, "note."); ok {
			built = strings.Contains(used.String(), `"`+name+`"`)
		} else if name, ok := strings.CutPrefix(key, "page.wrong."); ok {
			built = strings.Contains(used.String(), `"`+name+`"`)
		} else if name, ok := strings.CutPrefix(key, "page.state."); ok {
			built = strings.Contains(used.String(), `"`+name+`"`)
		} else if name, ok := strings.CutPrefix(key, "step."); ok {
			built = built || strings.Contains(used.String(), `"`+name+`"`)
		} else if name, ok := strings.CutPrefix(key, "page."); ok {
			built = built || strings.Contains(used.String(), `"`+name+`"`)
		}
		if !built && !strings.Contains(used.String(), `"`+key+`"`) {
			t.Errorf("%s is used nowhere", key)
		}
	}
}
