package cordon_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// source is a package's code without its tests.
type source struct {
	dir   string
	set   *token.FileSet
	files []*ast.File
}

func sourceOf(t *testing.T, dir string) source {
	t.Helper()
	s := source{dir: dir, set: token.NewFileSet()}
	paths, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range paths {
		if strings.HasSuffix(p, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(s.set, p, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		s.files = append(s.files, f)
	}
	if len(s.files) == 0 {
		t.Fatalf("%s holds no code", dir)
	}
	return s
}

// written is a package of one file, for faults to plant.
func written(t *testing.T, dir, text string) source {
	t.Helper()
	s := source{dir: dir, set: token.NewFileSet()}
	f, err := parser.ParseFile(s.set, dir+"/planted.go", text, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	s.files = []*ast.File{f}
	return s
}

func (s source) at(n ast.Node) string { return s.set.Position(n.Pos()).String() }

// imports are the paths that a file imports, by the name it calls them.
func imports(f *ast.File) map[string]string {
	all := map[string]string{}
	for _, spec := range f.Imports {
		path, _ := strconv.Unquote(spec.Path.Value)
		name := regexp.MustCompile(`/v[0-9]+$`).ReplaceAllString(path, "")
		name = name[strings.LastIndex(name, "/")+1:]
		if spec.Name != nil {
			name = spec.Name.Name
		}
		all[name] = path
	}
	return all
}

func (s source) importPaths() []string {
	var all []string
	for _, f := range s.files {
		all = slices.AppendSeq(all, maps.Values(imports(f)))
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// qualified is NAME of PATH where e is a name of another package.
func qualified(f *ast.File, e ast.Expr) (path, name string) {
	sel, ok := e.(*ast.SelectorExpr)
	if !ok {
		return "", ""
	}
	x, ok := sel.X.(*ast.Ident)
	if !ok {
		return "", ""
	}
	return imports(f)[x.Name], sel.Sel.Name
}

func (s source) function(name string) (*ast.FuncDecl, *ast.File) {
	for _, f := range s.files {
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == name {
				return fn, f
			}
		}
	}
	return nil, nil
}

// functionNames are the directories below functions/.
func functionNames(t *testing.T) []string {
	t.Helper()
	entries, err := os.ReadDir("functions")
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range entries {
		if e.IsDir() {
			all = append(all, e.Name())
		}
	}
	return all
}

// page is the one function that answers HTTP; nothing invokes it for the machine.
const page = "decide"

// TestFunctionsAgree: what is deployed is what has a main, and what is rehearsed.
func TestFunctionsAgree(t *testing.T) {
	var deployed, rehearsed []string
	for _, f := range deployment(t).Functions() {
		deployed = append(deployed, functionName(f.LogicalID))
	}
	slices.Sort(deployed)
	for name := range wiringOfRehearsal(t) {
		rehearsed = append(rehearsed, name)
	}
	slices.Sort(rehearsed)
	if diff := cmp.Diff(functionNames(t), deployed); diff != "" {
		t.Errorf("functions/ and template.yaml differ (-functions +template):\n%s", diff)
	}
	if diff := cmp.Diff(functionNames(t), rehearsed); diff != "" {
		t.Errorf("functions/ and internal/rehearsal/functions.go differ (-functions +rehearsal):\n%s", diff)
	}
}

// TestWiringAgrees: a main, the rehearsal's line and the parameters of New name
// the same services in the same order. What differed would be rehearsed wrong.
func TestWiringAgrees(t *testing.T) {
	rehearsed := wiringOfRehearsal(t)
	for _, name := range functionNames(t) {
		s := sourceOf(t, "functions/"+name)
		clients, wrong := mainOf(s, name)
		for _, w := range wrong {
			t.Error(w)
		}
		if diff := cmp.Diff(clients, rehearsed[name]); diff != "" {
			t.Errorf("%s: main and rehearsal pass different clients (-main +rehearsal):\n%s", name, diff)
		}
		if diff := cmp.Diff(clients, parametersOfNew(t, name)); diff != "" {
			t.Errorf("%s: main and the parameters of New differ (-main +New):\n%s", name, diff)
		}
	}
}

// mainOf reads a main: the services of the clients it passes, in order, and
// whatever is more than wiring.
func mainOf(s source, name string) (clients, wrong []string) {
	fail := func(n ast.Node, format string, a ...any) {
		wrong = append(wrong, s.at(n)+": "+fmt.Sprintf(format, a...))
	}
	if len(s.files) != 1 {
		return nil, []string{s.dir + ": holds more than a main"}
	}
	f := s.files[0]
	if lines := s.set.File(f.Pos()).LineCount(); lines >= 25 {
		fail(f, "%d lines; a main is wiring only, under 25", lines)
	}
	var main *ast.FuncDecl
	for _, d := range f.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if d.Name.Name == "main" {
				main = d
			} else {
				fail(d, "declares %s; a main has nothing but main", d.Name.Name)
			}
		case *ast.GenDecl:
			if d.Tok != token.IMPORT {
				fail(d, "declares a %s", d.Tok)
			}
		}
	}
	if main == nil {
		return nil, append(wrong, s.dir+": has no main")
	}
	made := map[string]string{} // services of clients, by variable
	service := func(e ast.Expr) string {
		switch e := e.(type) {
		case *ast.Ident:
			return made[e.Name]
		case *ast.CallExpr:
			path, fn := qualified(f, e.Fun)
			switch sdk, ok := strings.CutPrefix(path, "github.com/aws/aws-sdk-go-v2/service/"); {
			case ok && fn == "NewFromConfig":
				return sdk
			case sdk == "s3" && fn == "NewPresignClient":
				return "presign"
			case path == "cordon/internal/lambdafn" && fn == "Keys": // of Verified Access, at an address of its own
				return "keys"
			}
		}
		return ""
	}
	serve := "Start"
	if name == page {
		serve = "ServeHTTP"
	}
	built, served := 0, 0
	ast.Inspect(main, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.IfStmt, *ast.ForStmt, *ast.RangeStmt, *ast.SwitchStmt, *ast.TypeSwitchStmt, *ast.SelectStmt, *ast.GoStmt, *ast.DeferStmt, *ast.FuncLit, *ast.BinaryExpr:
			fail(n, "decides something; a main is wiring only")
		case *ast.AssignStmt:
			if len(n.Lhs) == 1 && len(n.Rhs) == 1 {
				if id, ok := n.Lhs[0].(*ast.Ident); ok {
					made[id.Name] = service(n.Rhs[0])
				}
			}
		case *ast.CallExpr:
			switch path, fn := qualified(f, n.Fun); {
			case path == "cordon/internal/lambdafn" && fn == serve:
				served++
			case fn == "New" && path == "cordon/internal/"+name:
				built++
				if len(n.Args) == 0 {
					fail(n, "New gets no host")
					return true
				}
				if call, ok := n.Args[0].(*ast.CallExpr); !ok {
					fail(n, "New's host is not lambdafn.Host()")
				} else if path, fn := qualified(f, call.Fun); path != "cordon/internal/lambdafn" || fn != "Host" {
					fail(n, "New's host is not lambdafn.Host()")
				}
				for _, a := range n.Args[1:] {
					c := service(a)
					if c == "" {
						fail(a, "New is passed what is no client")
					}
					clients = append(clients, c)
				}
			case fn == "New" && strings.HasPrefix(path, "cordon/"):
				fail(n, "builds %s, not %s", path, name)
			}
		}
		return true
	})
	if built != 1 || served != 1 {
		fail(main, "calls New of internal/%s %d times and lambdafn.%s %d times; each is wanted once", name, built, serve, served)
	}
	return clients, wrong
}

func TestMainsThatAreMoreThanWiring(t *testing.T) {
	const head = "package main\nimport (\n\"cordon/internal/lambdafn\"\n\"cordon/internal/isolate\"\n\"cordon/internal/release\"\n\"github.com/aws/aws-sdk-go-v2/service/ec2\"\n)\n"
	const good = "func main() {\ncfg := lambdafn.Config()\nlambdafn.Start(isolate.New(lambdafn.Host(), ec2.NewFromConfig(cfg)))\n}\n"
	if clients, wrong := mainOf(written(t, "functions/isolate", head+good), "isolate"); len(wrong) > 0 || !slices.Equal(clients, []string{"ec2"}) {
		t.Fatalf("a good main: clients %q, wrong %q", clients, wrong)
	}
	for name, test := range map[string]struct{ text, want string }{
		"an init":           {head + good + "func init() {}", "declares init"},
		"a variable":        {head + good + "var client any", "declares a var"},
		"a choice":          {head + strings.Replace(good, "lambdafn.Start", "if cfg.Region != \"\" {}\nlambdafn.Start", 1), "decides something"},
		"too long":          {head + good + strings.Repeat("//\n", 20), "lines"},
		"another package":   {head + strings.Replace(good, "isolate.New", "release.New", 1), "builds cordon/internal/release"},
		"two of them":       {head + strings.Replace(good, "lambdafn.Start", "isolate.New(lambdafn.Host())\nlambdafn.Start", 1), "2 times"},
		"served otherwise":  {head + strings.Replace(good, "lambdafn.Start", "lambdafn.ServeHTTP", 1), "lambdafn.Start 0 times"},
		"no client":         {head + strings.Replace(good, "ec2.NewFromConfig(cfg)", "cfg", 1), "no client"},
		"a host of its own": {head + strings.Replace(good, "lambdafn.Host()", "lambdafn.Config()", 1), "host is not"},
	} {
		t.Run(name, func(t *testing.T) {
			_, wrong := mainOf(written(t, "functions/isolate", test.text), "isolate")
			if !slices.ContainsFunc(wrong, func(w string) bool { return strings.Contains(w, test.want) }) {
				t.Errorf("found %q, want one with %q", wrong, test.want)
			}
		})
	}
}

// wiringOfRehearsal reads which clients internal/rehearsal passes to each New.
func wiringOfRehearsal(t *testing.T) map[string][]string {
	t.Helper()
	s := sourceOf(t, "internal/rehearsal")
	all := map[string][]string{}
	for _, f := range s.files {
		if filepath.Base(s.set.Position(f.Pos()).Filename) != "functions.go" {
			continue
		}
		ast.Inspect(f, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			path, fn := qualified(f, call.Fun)
			name, ours := strings.CutPrefix(path, "cordon/internal/")
			if fn != "New" || !ours || len(call.Args) == 0 {
				return true
			}
			if _, twice := all[name]; twice {
				t.Errorf("%s: builds %s a second time", s.at(call), name)
			}
			all[name] = nil
			for _, a := range call.Args[1:] {
				client, ok := a.(*ast.CallExpr)
				if !ok {
					t.Errorf("%s: passes what is no client of the account", s.at(a))
					continue
				}
				if sel, ok := client.Fun.(*ast.SelectorExpr); ok {
					all[name] = append(all[name], strings.ToLower(sel.Sel.Name))
				}
			}
			return true
		})
		// The machine finds a step by the key of the table.
		ast.Inspect(f, func(n ast.Node) bool {
			entry, ok := n.(*ast.KeyValueExpr)
			if !ok {
				return true
			}
			key, ok := entry.Key.(*ast.BasicLit)
			if !ok {
				return true
			}
			name, _ := strconv.Unquote(key.Value)
			found := false
			ast.Inspect(entry.Value, func(n ast.Node) bool {
				if call, ok := n.(*ast.CallExpr); ok {
					path, fn := qualified(f, call.Fun)
					found = found || fn == "New" && path == "cordon/internal/"+name
				}
				return true
			})
			if !found {
				t.Errorf("%s: %q does not build internal/%s", s.at(entry), name, name)
			}
			return true
		})
	}
	return all
}

// parametersOfNew are the services of New's parameters after the host.
func parametersOfNew(t *testing.T, name string) []string {
	t.Helper()
	s := sourceOf(t, "internal/"+name)
	fn, f := s.function("New")
	if fn == nil {
		t.Fatalf("internal/%s has no New", name)
	}
	var all []string
	for n, p := range fn.Type.Params.List {
		if n == 0 {
			if path, typ := qualified(f, p.Type); path != "cordon/internal/incident" || typ != "Host" {
				t.Errorf("%s: New's first parameter is not incident.Host", s.at(p))
			}
			continue
		}
		id, ok := p.Type.(*ast.Ident)
		if !ok {
			t.Errorf("%s: a parameter of New is no interface of the package's own", s.at(p))
			continue
		}
		service := strings.ToLower(id.Name)
		switch service {
		case "incidents", "decisions":
			service = "dynamodb"
		case "evidence": // in another account
			service = "ec2"
		}
		for range max(1, len(p.Names)) {
			all = append(all, service)
		}
	}
	return all
}

// TestSettingsAgree: a setting that is missing stops the function at its start;
// one too many is a knob that turns nothing.
func TestSettingsAgree(t *testing.T) {
	for _, f := range deployment(t).Functions() {
		name := functionName(f.LogicalID)
		read := settingsOf(t, "internal/"+name, map[string]bool{})
		read = slices.DeleteFunc(read, func(s string) bool { return s == "AWS_REGION" }) // Lambda sets it
		set := slices.Sorted(maps.Keys(f.Environment))
		if diff := cmp.Diff(read, set); diff != "" {
			t.Errorf("%s: the code and the template differ (-read +set):\n%s", name, diff)
		}
	}
}

func settingsOf(t *testing.T, dir string, seen map[string]bool) []string {
	t.Helper()
	if seen[dir] || dir == "internal/incident" {
		return nil
	}
	seen[dir] = true
	s := sourceOf(t, dir)
	all, wrong := settings(s)
	for _, w := range wrong {
		t.Error(w)
	}
	for _, path := range s.importPaths() {
		if ours, ok := strings.CutPrefix(path, "cordon/"); ok {
			all = append(all, settingsOf(t, ours, seen)...)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

var settingName = regexp.MustCompile(`^[A-Z][A-Z0-9_]*$`)

// settings are the names given to Setting, Number and Getenv: literals, or the
// strings of the literal that a loop around the call ranges over.
func settings(s source) (all, wrong []string) {
	for _, f := range s.files {
		var around []*ast.RangeStmt
		var look func(ast.Node) bool
		look = func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.RangeStmt:
				ast.Inspect(n.X, look)
				around = append(around, n)
				ast.Inspect(n.Body, look)
				around = around[:len(around)-1]
				return false
			case *ast.CallExpr:
				sel, ok := n.Fun.(*ast.SelectorExpr)
				if !ok || len(n.Args) != 1 || !slices.Contains([]string{"Setting", "Number", "Getenv"}, sel.Sel.Name) {
					return true
				}
				var names []string
				switch arg := n.Args[0].(type) {
				case *ast.BasicLit:
					names = namesIn(arg)
				default:
					// The innermost loop that makes the variable.
					for _, r := range slices.Backward(around) {
						if v := root(arg); v != "" && (v == root(r.Key) || v == root(r.Value)) {
							names = namesIn(r.X)
							break
						}
					}
				}
				if len(names) == 0 {
					wrong = append(wrong, fmt.Sprintf("%s: which setting is read cannot be seen", s.at(n)))
				}
				all = append(all, names...)
			}
			return true
		}
		ast.Inspect(f, look)
	}
	return all, wrong
}

// root is the variable that an expression begins with.
func root(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return root(e.X)
	}
	return ""
}

// namesIn are the string literals in a node that may name a setting.
func namesIn(n ast.Node) (all []string) {
	ast.Inspect(n, func(n ast.Node) bool {
		if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
			if v, err := strconv.Unquote(lit.Value); err == nil && settingName.MatchString(v) {
				all = append(all, v)
			}
		}
		return true
	})
	return all
}

func TestSettingsAreSeen(t *testing.T) {
	s := written(t, "internal/x", `package x
func New(h Host) {
	h.Getenv("ONE")
	for name, to := range map[string]*string{"TWO": nil, "THREE": nil} { *to = h.Setting(name) }
	for _, s := range []struct{ name string }{{"FOUR"}} { h.Number(s.name) }
	for range strings.SplitSeq(h.Getenv("FIVE"), ",") {}
}`)
	all, wrong := settings(s)
	slices.Sort(all)
	if diff := cmp.Diff([]string{"FIVE", "FOUR", "ONE", "THREE", "TWO"}, all); diff != "" || len(wrong) > 0 {
		t.Errorf("wrong %q, names (-want +got):\n%s", wrong, diff)
	}
	if _, wrong := settings(written(t, "internal/x", `package x
func f(h Host, name string) { h.Setting(name) }`)); len(wrong) != 1 {
		t.Error("a name from elsewhere goes unseen")
	}
}

// steps are the packages that run in a function, with what they share.
func steps(t *testing.T) []string {
	return append(functionNames(t), "access", "finding", "incident", "mandate", "message", "record")
}

// code are the directories that hold Go code other than tests.
func code(t *testing.T) (all []string) {
	t.Helper()
	for _, f := range project(t) {
		if strings.HasSuffix(f, ".go") && !strings.HasSuffix(f, "_test.go") {
			all = append(all, filepath.ToSlash(filepath.Dir(f)))
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// TestStepsAreDeterministic: time, randomness, concurrency and settings come
// from the host only, or a rehearsal would prove something else than what runs.
func TestStepsAreDeterministic(t *testing.T) {
	for _, name := range steps(t) {
		for _, wrong := range undetermined(sourceOf(t, "internal/"+name)) {
			t.Error(wrong)
		}
	}
}

var forbiddenCalls = map[string][]string{
	"time": {"Now", "Sleep", "After", "AfterFunc", "NewTimer", "NewTicker", "Tick", "Since", "Until"},
	// The page answers HTTP; nobody asks anything by it.
	"net/http": {"Get", "Head", "Post", "PostForm", "Client", "DefaultClient", "Transport", "DefaultTransport", "ListenAndServe", "ListenAndServeTLS", "Serve", "Server"},
	"net":      {"Dial", "DialTimeout", "Dialer", "Listen", "LookupHost", "LookupIP", "LookupAddr", "DefaultResolver", "Resolver"},
	"context":  {"WithTimeout", "WithTimeoutCause", "WithDeadline", "WithDeadlineCause", "Background", "TODO", "AfterFunc"},
}

var forbiddenImports = []string{
	"sync", "sync/atomic", "math/rand", "math/rand/v2", "crypto/rand", "os", "os/exec", "os/signal", "syscall", "unsafe", "runtime",
	"log", "log/slog", "testing", "testing/synctest", "golang.org/x/sync/errgroup",
}

func undetermined(s source) (wrong []string) {
	fail := func(n ast.Node, what string) { wrong = append(wrong, s.at(n)+": "+what+" belongs to the host") }
	for _, f := range s.files {
		for _, spec := range f.Imports {
			if path, _ := strconv.Unquote(spec.Path.Value); slices.Contains(forbiddenImports, path) {
				fail(spec, path)
			}
			if spec.Name != nil && spec.Name.Name == "." {
				fail(spec, "a name without its package")
			}
		}
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.GoStmt:
				fail(n, "a goroutine")
			case *ast.SelectStmt:
				fail(n, "select")
			case *ast.ChanType:
				fail(n, "a channel")
			case *ast.SendStmt:
				fail(n, "a channel")
			case *ast.UnaryExpr:
				if n.Op == token.ARROW {
					fail(n, "a channel")
				}
			case *ast.SelectorExpr:
				if path, name := qualified(f, n); slices.Contains(forbiddenCalls[path], name) {
					fail(n, path+"."+name)
				}
			case *ast.FuncDecl:
				if n.Recv == nil && n.Name.Name == "init" {
					fail(n, "an init")
				}
			}
			return true
		})
	}
	return wrong
}

func TestWhatIsUndeterminedIsFound(t *testing.T) {
	for want, text := range map[string]string{
		"a goroutine":                  "func f() { go f() }",
		"select":                       "func f() { select {} }",
		"a channel":                    "func f(c any) { _ = make(chan int) }",
		"sync belongs":                 `import "sync"` + "\nvar m sync.Mutex",
		"errgroup":                     `import "golang.org/x/sync/errgroup"` + "\nvar g errgroup.Group",
		"crypto/rand":                  `import "crypto/rand"` + "\nvar r = rand.Reader",
		"math/rand/v2":                 `import "math/rand/v2"` + "\nvar r = rand.Int()",
		"os belongs":                   `import "os"` + "\nvar e = os.Getenv(\"X\")",
		"time.Now":                     `import clock "time"` + "\nvar now = clock.Now",
		"time.Sleep":                   `import "time"` + "\nfunc f() { time.Sleep(1) }",
		"context.WithTimeout":          `import "context"` + "\nfunc f(c context.Context) { context.WithTimeout(c, 1) }",
		"context.Background":           `import "context"` + "\nvar c = context.Background()",
		"a name without its package":   `import . "time"` + "\nvar n = Now()",
		"an init belongs":              "func init() {}",
		"net/http.Get":                 `import "net/http"` + "\nvar r, _ = http.Get(\"\")",
		"net.Dialer":                   `import "net"` + "\nvar d net.Dialer",
		"time.NewTicker belongs to th": `import "time"` + "\nvar n = time.NewTicker(1)",
	} {
		t.Run(want, func(t *testing.T) {
			wrong := undetermined(written(t, "internal/x", "package x\n"+text))
			if !slices.ContainsFunc(wrong, func(w string) bool { return strings.Contains(w, want) }) {
				t.Errorf("found %q, want one with %q", wrong, want)
			}
		})
	}
}

// TestImports: a step knows its nouns, the record and the SDK; no other step,
// not Lambda, not the simulation.
func TestImports(t *testing.T) {
	shared := []string{"cordon/internal/access", "cordon/internal/chain", "cordon/internal/evidence", "cordon/internal/finding", "cordon/internal/incident", "cordon/internal/mandate", "cordon/internal/manifest", "cordon/internal/message", "cordon/internal/record", "cordon/internal/report"}
	for _, name := range steps(t) {
		for _, path := range foreign(sourceOf(t, "internal/"+name), shared, true) {
			t.Errorf("internal/%s imports %s", name, path)
		}
	}
	for _, path := range foreign(sourceOf(t, "internal/incident"), nil, false) {
		t.Errorf("internal/incident imports %s; it is the standard library only", path)
	}
	for _, name := range []string{"asl", "eventpattern", "finding", "incident", "message", "template", "vtime"} {
		for _, path := range sourceOf(t, "internal/"+name).importPaths() {
			if sdk(path) {
				t.Errorf("internal/%s imports %s, and has no need of AWS", name, path)
			}
		}
	}
	simulates := []string{"cmd/cordon", "internal/rehearsal", "internal/scene"}
	for _, dir := range code(t) {
		for _, path := range sourceOf(t, dir).importPaths() {
			if path == "cordon/internal/scene" || path == "cordon/internal/sim" && !slices.Contains(simulates, dir) {
				t.Errorf("%s imports %s, which is for tests and rehearsals", dir, path)
			}
		}
	}
	planted := written(t, "internal/x", "package x\nimport (\n\"cordon/internal/isolate\"\n\"cordon/internal/lambdafn\"\n\"github.com/google/go-cmp/cmp\"\n\"strings\"\n\"cordon/internal/record\"\n\"github.com/aws/smithy-go\"\n)")
	if got := foreign(planted, shared, true); len(got) != 3 {
		t.Errorf("of planted imports %q are found", got)
	}
}

func sdk(path string) bool {
	return strings.HasPrefix(path, "github.com/aws/")
}

// foreign are imports that are neither of the standard library, nor shared, nor
// of the SDK where that is allowed.
func foreign(s source, shared []string, aws bool) []string {
	return slices.DeleteFunc(s.importPaths(), func(path string) bool {
		first, _, _ := strings.Cut(path, "/")
		standard := !strings.Contains(first, ".") && first != "cordon"
		ok := strings.HasPrefix(path, "github.com/aws/aws-sdk-go-v2/") || path == "github.com/aws/smithy-go" || strings.HasPrefix(path, "github.com/aws/smithy-go/")
		return standard || slices.Contains(shared, path) || aws && ok
	})
}

// TestDecisionsAreWrittenOnce: IAM cannot say «only if it is not there», so the
// code must: one write to the decisions table, and it never overwrites.
func TestDecisionsAreWrittenOnce(t *testing.T) {
	changes := map[string]bool{}
	for _, a := range []string{"PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem", "TransactWriteItems", "ExecuteStatement", "BatchExecuteStatement", "ExecuteTransaction"} {
		changes[a] = true
	}
	var writers, deciders []string
	for _, dir := range code(t) {
		// The one is the table in memory, the other makes worlds for tests.
		if dir == "internal/sim" || dir == "internal/scene" {
			continue
		}
		s := sourceOf(t, dir)
		for where, call := range callsIn(s) {
			sel, ok := call.Fun.(*ast.SelectorExpr)
			if !ok {
				continue
			}
			if changes[sel.Sel.Name] {
				writers = append(writers, where+" "+sel.Sel.Name)
			}
			if slices.Contains([]string{"Decide", "DecideFirst", "DecideOverride"}, sel.Sel.Name) && root(sel.X) == "record" {
				deciders = append(deciders, where+" "+sel.Sel.Name)
			}
		}
		for _, wrong := range decisionsInterface(s, mayOfDecisions[strings.TrimPrefix(dir, "internal/")]) {
			t.Error(wrong)
		}
	}
	slices.Sort(writers)
	if diff := cmp.Diff([]string{"record.BeginClosing UpdateItem", "record.TakeRequest PutItem", "record.Turn PutItem", "record.Turn UpdateItem", "record.create PutItem", "record.put PutItem", "record.putPlace PutItem", "record.swap PutItem", "record.update UpdateItem"}, writers); diff != "" {
		t.Errorf("tables are changed elsewhere than in internal/record (-want +is):\n%s", diff)
	}
	slices.Sort(deciders)
	if diff := cmp.Diff([]string{page + ".first DecideFirst", page + ".first DecideOverride", page + ".record Decide"}, deciders); diff != "" {
		t.Errorf("decisions are stored elsewhere than once on the page, the first of two apart (-want +is):\n%s", diff)
	}

	record := sourceOf(t, "internal/record")
	create, _ := record.function("create")
	if create == nil || !slices.Contains(stringsIn(create), "attribute_not_exists(pk)") {
		t.Error("record.create overwrites what is there")
	}
	for name, want := range map[string][]string{"Decide": {"decided", "requestSK"}, "DecideFirst": {"decided", "firstSK"}, "DecideOverride": {"decided", "overrideSK"}, "decided": {"create", "decode", "encode", "stamp"}} {
		fn, _ := record.function(name)
		if fn == nil {
			t.Fatalf("record.%s is not there", name)
		}
		var called []string
		for _, call := range callsOf(fn) {
			if id, ok := call.Fun.(*ast.Ident); ok {
				called = append(called, id.Name)
			}
		}
		slices.Sort(called)
		if diff := cmp.Diff(want, slices.Compact(called)); diff != "" {
			t.Errorf("record.%s calls something else than what creates an item (-want +calls):\n%s", name, diff)
		}
	}
}

// mayOfDecisions is what a package may do with the decisions table, if it is not
// to read one decision.
var mayOfDecisions = map[string]string{page: "Putter", "close": "Querier"}

// TestDecisionsTableIsForDecisions: both tables are reached by one client, so
// what the types cannot tell apart, the names must.
func TestDecisionsTableIsForDecisions(t *testing.T) {
	for _, name := range functionNames(t) {
		for _, wrong := range strayTables(sourceOf(t, "internal/"+name)) {
			t.Error(wrong)
		}
	}
	if got := strayTables(written(t, "internal/x", "package x\nfunc (s *Step) f() { record.Close(ctx, s.decisions, s.decisionsTable) }")); len(got) != 2 {
		t.Errorf("a planted write finds %q", got)
	}
	if got := strayTables(written(t, "internal/x", "package x\nfunc (s *Step) f() { record.Decide(ctx, s.decisions, s.decisionsTable, d) }")); len(got) != 0 {
		t.Errorf("a decision finds %q", got)
	}
}

// strayTables are uses of the decisions table other than to store or read a decision.
func strayTables(s source) (wrong []string) {
	is := func(e ast.Expr) bool {
		sel, ok := e.(*ast.SelectorExpr)
		return ok && (sel.Sel.Name == "decisions" || sel.Sel.Name == "decisionsTable")
	}
	fine := []string{"Decide", "DecideFirst", "DecideOverride", "Decisions", "LoadDecision", "LoadFirsts"}
	for _, call := range callsIn(s) {
		sel, ok := call.Fun.(*ast.SelectorExpr)
		if ok && root(sel.X) == "record" && slices.Contains(fine, sel.Sel.Name) {
			continue
		}
		for _, a := range call.Args {
			if is(a) {
				wrong = append(wrong, s.at(a)+": the decisions table is used for something else than a decision")
			}
		}
	}
	return wrong
}

// decisionsInterface says what is wrong with an interface Decisions: the page
// may put and not even read; all others may read one item.
func decisionsInterface(s source, may string) (wrong []string) {
	want := may
	if want == "" {
		want = "Getter"
	}
	for _, f := range s.files {
		ast.Inspect(f, func(n ast.Node) bool {
			spec, ok := n.(*ast.TypeSpec)
			if !ok || spec.Name.Name != "Decisions" {
				return true
			}
			i, ok := spec.Type.(*ast.InterfaceType)
			if !ok {
				wrong = append(wrong, s.at(spec)+": Decisions is no interface")
				return true
			}
			if len(i.Methods.List) != 1 || len(i.Methods.List[0].Names) != 0 {
				wrong = append(wrong, s.at(spec)+": Decisions is more than record."+want)
			} else if path, name := qualified(f, i.Methods.List[0].Type); path != "cordon/internal/record" || name != want {
				wrong = append(wrong, s.at(spec)+": Decisions is not record."+want)
			}
			return true
		})
	}
	return wrong
}

func TestDecisionsInterfacesThatMayMore(t *testing.T) {
	for name, body := range map[string]string{
		"put beside get": "record.Getter\nrecord.Putter",
		"update":         "record.Updater",
		"a method":       "DeleteItem()",
	} {
		for _, may := range []string{"", "Putter", "Querier"} {
			s := written(t, "internal/x", "package x\nimport \"cordon/internal/record\"\ntype Decisions interface {\n"+body+"\n}")
			if len(decisionsInterface(s, may)) == 0 {
				t.Errorf("%s: goes unseen", name)
			}
		}
	}
}

// callsIn are all calls of a package, with PACKAGE.FUNCTION around each.
func callsIn(s source) func(yield func(string, *ast.CallExpr) bool) {
	return func(yield func(string, *ast.CallExpr) bool) {
		for _, f := range s.files {
			for _, d := range f.Decls {
				name := "declaration"
				if fn, ok := d.(*ast.FuncDecl); ok {
					name = fn.Name.Name
				}
				for _, call := range callsOf(d) {
					if !yield(filepath.Base(s.dir)+"."+name, call) {
						return
					}
				}
			}
		}
	}
}

func callsOf(n ast.Node) (all []*ast.CallExpr) {
	ast.Inspect(n, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok {
			all = append(all, call)
		}
		return true
	})
	return all
}

func stringsIn(n ast.Node) (all []string) {
	ast.Inspect(n, func(n ast.Node) bool {
		if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
			if v, err := strconv.Unquote(lit.Value); err == nil {
				all = append(all, v)
			}
		}
		return true
	})
	return all
}

// errorsOf are the names in internal/incident/errors.go.
func errorsOf(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, f := range sourceOf(t, "internal/incident").files {
		ast.Inspect(f, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok || root(spec.Type) != "Error" {
				return true
			}
			for _, v := range spec.Values {
				all = append(all, stringsIn(v)...)
			}
			return true
		})
	}
	if len(all) == 0 {
		t.Fatal("internal/incident names no errors")
	}
	return all
}
