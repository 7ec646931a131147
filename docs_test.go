package cordon_test

import (
	"bytes"
	"flag"
	"fmt"
	"go/ast"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"cordon"
	"cordon/internal/rehearsal"
	"cordon/internal/sim"
	"cordon/internal/template"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the generated parts of README.md")

func TestReadmeIsCurrent(t *testing.T) {
	now := read(t, "README.md")
	want := now
	for name, text := range map[string]string{
		"parameters": parameterTable(deployment(t)),
		"diagram":    diagram(parseMachine(t, cordon.Definition)),
	} {
		var err error
		if want, err = between(want, name, text); err != nil {
			t.Fatal(err)
		}
	}
	if *update {
		if err := os.WriteFile("README.md", []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want, now); diff != "" {
		t.Errorf("README.md is not current; run go test . -update (-want +is):\n%s", diff)
	}
}

// between puts text between the markers of a name.
func between(in, name, text string) (string, error) {
	begin, end := strings.Index(in, "<!-- "+name), strings.Index(in, "<!-- /"+name+" -->")
	if begin < 0 || end < begin {
		return "", fmt.Errorf("README.md has no markers for %s", name)
	}
	begin += strings.Index(in[begin:], "-->") + len("-->")
	return in[:begin] + "\n" + text + in[end:], nil
}

func parameterTable(d *template.Deployment) string {
	var b strings.Builder
	b.WriteString("| parameter | default | what it is |\n|---|---|---|\n")
	for _, p := range d.Parameters() {
		value := "`" + p.Default + "`"
		switch {
		case p.Required:
			value = "must be given"
			if empty, err := regexp.MatchString("^(?:"+p.AllowedPattern+")$", ""); err == nil && empty && p.AllowedPattern != "" {
				value = "must be given, may be empty"
			}
		case p.Default == "":
			value = "empty"
		}
		rule := ""
		switch {
		case len(p.AllowedValues) > 0:
			rule = " `" + strings.Join(p.AllowedValues, "` or `") + "`."
		case p.MinValue != "" && p.MaxValue != "":
			rule = fmt.Sprintf(" From %s to %s.", p.MinValue, p.MaxValue)
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s%s |\n", p.Name, value, strings.ReplaceAll(p.Description, "|", `\|`), rule)
	}
	return b.String()
}

// diagram draws the machine for Mermaid. A dotted line is what happens when all
// attempts have failed.
// https://mermaid.js.org/syntax/flowchart.html
func diagram(m machine) string {
	var b strings.Builder
	b.WriteString("```mermaid\nflowchart TD\n")
	ids := map[string]string{}
	m.number(ids)
	m.draw(&b, ids, "  ")
	b.WriteString("```\n")
	return b.String()
}

func (m machine) number(ids map[string]string) {
	for _, name := range m.order() {
		ids[name] = fmt.Sprintf("s%d", len(ids)+1)
		for _, branch := range m.States[name].Branches {
			branch.number(ids)
		}
	}
}

func (m machine) draw(b *strings.Builder, ids map[string]string, indent string) {
	order := m.order()
	for _, name := range order {
		s, id, label := m.States[name], ids[name], mermaid(name)
		shape := map[string][2]string{"Choice": {"{", "}"}, "Succeed": {"([", "])"}, "Fail": {"[[", "]]"}, "Wait": {"(", ")"}, "Pass": {"(", ")"}}[s.Type]
		if shape[0] == "" {
			shape = [2]string{"[", "]"}
		}
		if len(s.Branches) == 0 {
			fmt.Fprintf(b, "%s%s%s%s%s\n", indent, id, shape[0], label, shape[1])
			continue
		}
		fmt.Fprintf(b, "%ssubgraph %s[%s]\n", indent, id, label)
		for n, branch := range s.Branches {
			fmt.Fprintf(b, "%s  subgraph %sb%d[\" \"]\n", indent, id, n+1)
			branch.draw(b, ids, indent+"    ")
			fmt.Fprintf(b, "%s  end\n", indent)
		}
		fmt.Fprintf(b, "%send\n", indent)
	}
	for _, name := range order {
		s := m.States[name]
		for _, c := range s.Choices {
			condition := strings.TrimSpace(strings.Trim(c.Condition, "{%}"))
			fmt.Fprintf(b, "%s%s -->|%s| %s\n", indent, ids[name], mermaid(strings.ReplaceAll(condition, "$", "")), ids[c.Next])
		}
		if s.Default != "" {
			fmt.Fprintf(b, "%s%s -->|%s| %s\n", indent, ids[name], mermaid("else"), ids[s.Default])
		}
		if s.Next != "" {
			fmt.Fprintf(b, "%s%s --> %s\n", indent, ids[name], ids[s.Next])
		}
		for _, c := range s.Catch {
			if c.Next == s.Next {
				continue // it goes on either way
			}
			why := strings.ReplaceAll(strings.Join(c.ErrorEquals, ", "), "States.ALL", "fails")
			fmt.Fprintf(b, "%s%s -.->|%s| %s\n", indent, ids[name], mermaid(strings.ReplaceAll(why, "States.", "")), ids[c.Next])
		}
	}
}

// order lists the states as they are come upon, so that the picture reads from
// the top.
func (m machine) order() []string {
	var all []string
	next := []string{m.StartAt}
	for len(next) > 0 {
		name := next[0]
		next = next[1:]
		if m.States[name] == nil || slices.Contains(all, name) {
			continue
		}
		all = append(all, name)
		for _, e := range m.States[name].edges() {
			next = append(next, e.to)
		}
	}
	return all
}

// mermaid quotes a label.
func mermaid(s string) string {
	return `"` + strings.NewReplacer("#", "#35;", `"`, "#quot;", "<", "#lt;", ">", "#gt;").Replace(s) + `"`
}

var endingRow = regexp.MustCompile("(?m)^\\| `([A-Z][^`]*)` \\|")

// endingsOf are the endings that the README explains.
func endingsOf(t *testing.T) []string {
	t.Helper()
	_, rest, ok := strings.Cut(read(t, "README.md"), "| ending | what is true |\n")
	if !ok {
		t.Fatal("README.md has no table of endings")
	}
	table, _, _ := strings.Cut(rest, "\n\n")
	var all []string
	for _, row := range endingRow.FindAllStringSubmatch(table, -1) {
		all = append(all, row[1])
	}
	return all
}

// TestReadmeListsWhatThereIs: every function with what it may change, every
// invariant by its name.
func TestReadmeListsWhatThereIs(t *testing.T) {
	text := read(t, "README.md")
	_, rest, _ := strings.Cut(text, "| function | does | changes outside this stack |\n")
	table, _, _ := strings.Cut(rest, "\n\n")
	var listed []string
	for _, row := range regexp.MustCompile(`(?m)^\| (\w+) \|`).FindAllStringSubmatch(table, -1) {
		listed = append(listed, row[1])
	}
	slices.Sort(listed)
	if diff := cmp.Diff(functionNames(t), listed); diff != "" {
		t.Errorf("README.md's table of functions (-functions +listed):\n%s", diff)
	}
	var held, told []string
	for _, i := range rehearsal.Invariants {
		held = append(held, i.Name)
	}
	for _, m := range regexp.MustCompile(`(?m)^\d+\. \*\*(.+)\.\*\*`).FindAllStringSubmatch(text, -1) {
		told = append(told, m[1])
	}
	if diff := cmp.Diff(held, told); diff != "" {
		t.Errorf("README.md's list of what always holds (-checked +listed):\n%s", diff)
	}
}

// TestEveryEventIsExplained: a finding to try whose end nobody names is a riddle.
func TestEveryEventIsExplained(t *testing.T) {
	text := read(t, "events/README.md")
	var there []string
	for _, pattern := range []string{"*.json", "accounts/*.json"} {
		files, err := filepath.Glob("events/" + pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("events/%s: %v, %v", pattern, files, err)
		}
		for _, f := range files {
			there = append(there, strings.TrimPrefix(filepath.ToSlash(f), "events/"))
		}
	}
	var told []string
	for _, row := range regexp.MustCompile("(?m)^\\| \\[`([^`]+)`\\]\\(([^)]+)\\)").FindAllStringSubmatch(text, -1) {
		if row[1] != row[2] {
			t.Errorf("events/README.md links %s to %s", row[1], row[2])
		}
		told = append(told, row[1])
	}
	slices.Sort(there)
	slices.Sort(told)
	told = slices.Compact(told)
	if diff := cmp.Diff(there, told); diff != "" {
		t.Errorf("events/README.md does not list what is there (-there +listed):\n%s", diff)
	}
}

// TestEventsLeadWhereTheReadmeSays runs every row of the table in events/.
func TestEventsLeadWhereTheReadmeSays(t *testing.T) {
	row := regexp.MustCompile("(?m)^\\| \\[`([^`]+)`\\]\\([^)]+\\) \\|(.*)\\| `(\\w+)` \\| (`[^`]+`|told|ignored) \\|")
	rows := row.FindAllStringSubmatch(read(t, "events/README.md"), -1)
	if len(rows) < len(events(t)) {
		t.Fatalf("%d rows for %d findings", len(rows), len(events(t)))
	}
	after := regexp.MustCompile("after `([^`]+)`, `(\\w+)`")
	file := regexp.MustCompile("`(accounts/[^`]+)`")
	for _, r := range rows {
		event, where, decision, want := r[1], r[2], r[3], strings.Trim(r[4], "`")
		t.Run(strings.TrimSpace(event+" "+strings.TrimSpace(where)+" "+decision), func(t *testing.T) {
			t.Parallel()
			var account []byte
			if f := file.FindStringSubmatch(where); f != nil {
				account = []byte(read(t, "events/"+f[1]))
			}
			if first := after.FindStringSubmatch(where); first != nil {
				account = rehearse(t, first[1], first[2], account).Account
			}
			got := rehearse(t, event, decision, account)
			ending := got.Ending
			switch {
			case !got.Matched && len(got.Mails) > 0:
				ending = "told"
			case !got.Matched:
				ending = "ignored"
			}
			if ending != want {
				t.Errorf("leads to %q, events/README.md says %q", ending, want)
			}
			if len(got.Violations) > 0 {
				t.Errorf("violates %v", got.Violations)
			}
		})
	}
}

func rehearse(t *testing.T, event, decision string, account []byte) rehearsal.Result {
	t.Helper()
	o := rehearsal.Options{Template: cordon.Template, Definition: cordon.Definition, Event: []byte(read(t, "events/"+event)), Account: account, Seed: 1}
	if decision != "none" {
		o.Person = rehearsal.Decides(decision)
	}
	r, err := rehearsal.Run(o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestRehearsalIsDocumented: what the account file takes, the kinds of fault and
// the rehearsal's own values are in docs/rehearsal.md, and nothing else is.
func TestRehearsalIsDocumented(t *testing.T) {
	text := read(t, "docs/rehearsal.md")
	keys := map[string][]string{} // of the account file, by what declares them
	for _, call := range callsIn(sourceOf(t, "internal/sim")) {
		if id, ok := call.Fun.(*ast.Ident); ok && len(call.Args) == 2 {
			keys[id.Name] = append(keys[id.Name], stringsIn(call.Args[0])...)
		}
	}
	keys["kept"] = append(keys["kept"], "Behaviour", "Incidents") // which are not kept as they came
	for _, k := range keys {
		slices.Sort(k)
	}
	listed := func(heading string) []string {
		_, rest, ok := strings.Cut(text, heading)
		if !ok {
			t.Fatalf("docs/rehearsal.md has no table %q", heading)
		}
		table, _, _ := strings.Cut(rest, "\n\n")
		var all []string
		for line := range strings.Lines(table) {
			if cells := strings.Split(line, "|"); len(cells) > 2 {
				for _, m := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(cells[1], -1) {
					all = append(all, m[1])
				}
			}
		}
		slices.Sort(all)
		return all
	}
	var kinds []string
	for _, k := range sim.Kinds() {
		kinds = append(kinds, string(k))
	}
	slices.Sort(kinds)
	for heading, want := range map[string][]string{
		"| key | what it holds | when absent |\n": keys["kept"],
		"| key | value | what it does |\n":        keys["optional"],
		"| kind | what happens |\n":               kinds,
		"| parameter | value |\n":                 slices.Sorted(maps.Keys(rehearsal.Defaults)),
	} {
		if diff := cmp.Diff(want, listed(heading)); diff != "" {
			t.Errorf("docs/rehearsal.md, %s (-is +documented):\n%s", strings.TrimSpace(heading), diff)
		}
	}
	for name, value := range rehearsal.Defaults {
		if name != "MemoryToolSha256" && !strings.Contains(text, "| `"+name+"` | `"+value+"`") {
			t.Errorf("docs/rehearsal.md does not say that %s is %s", name, value)
		}
	}
}

// TestContainmentIsCurrent holds docs/containment.md to what there is: the groups,
// what is looked for, how often it is looked again, names in the template.
func TestContainmentIsCurrent(t *testing.T) {
	text := read(t, "docs/containment.md")
	groups := read(t, "internal/isolate/groups.go")
	rows := regexp.MustCompile("(?m)^\\| `([a-z-]+)` \\| `([a-z]+)` \\|").FindAllStringSubmatch(text, -1)
	for _, row := range rows {
		if !strings.Contains(groups, row[2]+`: "`+row[1]+`"`) {
			t.Errorf("isolate does not call its %s group %s", row[2], row[1])
		}
	}
	if len(rows) != 3 {
		t.Errorf("%d groups are documented", len(rows))
	}
	_, rest, _ := strings.Cut(text, "<!-- openings")
	table, _, _ := strings.Cut(rest, "<!-- /openings -->")
	var told, known []string
	for _, line := range strings.Split(table, "\n")[3:] {
		cell, _, _ := strings.Cut(strings.TrimPrefix(line, "|"), "|")
		for _, m := range regexp.MustCompile("`([a-z]+)`").FindAllStringSubmatch(cell, -1) {
			told = append(told, m[1])
		}
	}
	for _, m := range regexp.MustCompile(`"opening\.([a-z]+)\.found"`).FindAllStringSubmatch(read(t, "internal/message/catalogue.go"), -1) {
		known = append(known, m[1])
	}
	slices.Sort(told)
	slices.Sort(known)
	if diff := cmp.Diff(known, told); diff != "" || len(known) == 0 {
		t.Errorf("what is looked for (-words +documented):\n%s", diff)
	}
	var seconds any
	parseMachine(t, cordon.Definition).walk(func(name string, s *state) {
		if name == "Wait for the next look" {
			seconds = s.Seconds
		}
	})
	for wait, words := range map[string]string{"300": "every 5 minutes", "1800": "every 30 minutes", "7200": "every 2 hours"} {
		if !strings.Contains(fmt.Sprint(seconds), wait) || !strings.Contains(text, words) {
			t.Errorf("looks are %v apart; the text should say %q", seconds, words)
		}
	}
	for _, name := range []string{"ConvertConnections", "DriftAlarm"} {
		if !strings.Contains(text, "`"+name) || !strings.Contains(string(cordon.Template), "  "+name+":\n") {
			t.Errorf("%s is not in both, the text and the template", name)
		}
	}
}

// TestWorkingIsCurrent: docs/working.md names paths and tests that are there,
// and every package.
func TestWorkingIsCurrent(t *testing.T) {
	text := read(t, "docs/working.md")
	for _, m := range regexp.MustCompile("`((?:internal|functions|cmd|statemachines)/[a-zA-Z0-9_./-]+)`").FindAllStringSubmatch(text, -1) {
		if strings.Contains(m[1], "NAME") || strings.Contains(m[1], "detach") {
			continue // of the step that is to be added
		}
		if _, err := os.Stat(m[1]); err != nil {
			t.Errorf("docs/working.md: %v", err)
		}
	}
	var there []string
	files, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		for _, m := range regexp.MustCompile(`(?m)^func (Test\w+)\(`).FindAllStringSubmatch(read(t, f), -1) {
			there = append(there, m[1])
		}
	}
	for _, m := range regexp.MustCompile("`(Test\\w+)`").FindAllStringSubmatch(text, -1) {
		if !slices.Contains(there, m[1]) {
			t.Errorf("docs/working.md names %s, which is no test here", m[1])
		}
	}
	packages, err := os.ReadDir("internal")
	if err != nil {
		t.Fatal(err)
	}
	steps := functionNames(t)
	for _, p := range packages {
		if p.IsDir() && !slices.Contains(steps, p.Name()) && !strings.Contains(text, "`internal/"+p.Name()+"`") {
			t.Errorf("docs/working.md does not say what internal/%s is", p.Name())
		}
	}
}

// TestLinksLead: a document that leads nowhere is found out at 3 a.m.
func TestLinksLead(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#:]+)(?:#[^)]*)?\)`)
	for _, file := range project(t) {
		if filepath.Ext(file) != ".md" {
			continue
		}
		for _, m := range link.FindAllStringSubmatch(read(t, file), -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(file), m[1])); err != nil {
				t.Errorf("%s: %v", file, err)
			}
		}
	}
}

// TestProjectStandsAlone: it must build and be understood anywhere, so it names
// no place of the machine on which it was written.
func TestProjectStandsAlone(t *testing.T) {
	for _, file := range project(t) {
		for _, wrong := range placesIn([]byte(read(t, file))) {
			t.Errorf("%s names %s", file, wrong)
		}
	}
	for _, planted := range []string{"see /wo" + "rk/main", "../sha" + "red/design.md", "cat /t" + "mp/x"} {
		if len(placesIn([]byte(planted))) == 0 {
			t.Errorf("%q goes unseen", planted)
		}
	}
}

// placesIn are written in halves, or this file would name them.
func placesIn(text []byte) (found []string) {
	for _, place := range []string{"/wo" + "rk/", "../sha" + "red", "/t" + "mp/"} {
		if bytes.Contains(text, []byte(place)) {
			found = append(found, place)
		}
	}
	return found
}

// project lists the project's files: what is installed or built below the
// checkout, which Git ignores, is others'.
func project(t *testing.T) []string {
	t.Helper()
	skip := []string{".git"}
	for _, line := range strings.Split(read(t, ".gitignore"), "\n") {
		if folder, ok := strings.CutPrefix(line, "/"); ok {
			skip = append(skip, strings.TrimSuffix(folder, "/"))
		}
	}
	var all []string
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case slices.Contains(skip, filepath.ToSlash(path)):
			if d.IsDir() {
				return filepath.SkipDir
			}
			return nil // in a worktree, .git is a file
		case d.Type().IsRegular():
			all = append(all, filepath.ToSlash(path))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func read(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestThreatModelNamesTests: a threat that a test is said to show stopped has that
// test, in Go code of this project.
func TestThreatModelNamesTests(t *testing.T) {
	there := map[string]bool{}
	for _, f := range project(t) {
		if strings.HasSuffix(f, "_test.go") {
			for _, m := range regexp.MustCompile(`(?m)^func (Test\w+)\(`).FindAllStringSubmatch(read(t, f), -1) {
				there[m[1]] = true
			}
		}
	}
	rows := regexp.MustCompile(`(?m)^\|.*\|$`).FindAllString(read(t, "docs/threat-model.md"), -1)
	named := 0
	for _, row := range rows {
		cells := strings.Split(strings.Trim(row, "|"), "|")
		if last := cells[len(cells)-1]; strings.Contains(last, "shown by") || strings.Trim(last, "- ") == "" {
			continue
		}
		tests := regexp.MustCompile("`(Test\\w+)`").FindAllStringSubmatch(cells[len(cells)-1], -1)
		if len(tests) == 0 {
			t.Errorf("no test shows it: %s", row)
		}
		for _, m := range tests {
			named++
			if !there[m[1]] {
				t.Errorf("there is no %s: %s", m[1], row)
			}
		}
	}
	if named < 30 {
		t.Errorf("%d tests are named; the tables are read wrong", named)
	}
}
