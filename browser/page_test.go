package browser_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// chromium is the browser that `make test-page` names.
var chromium = os.Getenv("CORDON_BROWSER")

// A test is only run by make, which finds the browser or says why not.
func TestMain(m *testing.M) {
	if chromium == "" {
		fmt.Println("skipped: CORDON_BROWSER is not set; run make test-page")
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// tab is one tab of a browser, which holds what nobody should see in it.
type tab struct {
	*incident
	context.Context
	mutex   sync.Mutex
	origins []string // of everything that was asked for
	broken  []string // what the console says: a policy that was broken, a script that failed
	status  int64    // of the page
}

var browser = sync.OnceValue(func() context.Context {
	ctx, _ := chromedp.NewExecAllocator(context.Background(), append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]),
		chromedp.ExecPath(chromium), chromedp.NoSandbox, chromedp.Headless,
		// Chromium talks to its makers by itself; nothing here may.
		chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true),
		chromedp.Flag("disable-quic", true), chromedp.Flag("no-first-run", true), chromedp.Flag("hide-scrollbars", true),
	)...)
	ctx, _ = chromedp.NewContext(ctx)
	if err := chromedp.Do(ctx); err != nil {
		panic(fmt.Sprintf("start %s: %v", chromium, err))
	}
	return ctx
})

// device is how somebody looks at the page.
type device struct {
	width, height int64
	scale         float64
	scheme        string
}

var (
	desk  = device{1200, 900, 1, "light"}
	phone = device{390, 844, 2, "dark"}
)

// browse opens a tab of its own, with a profile of its own.
func (i *incident) browse(d device) *tab {
	i.Helper()
	b := &tab{incident: i}
	ctx, cancel := chromedp.NewContext(browser(), chromedp.WithNewBrowserContext(), chromedp.WithListener(b.hear))
	i.Cleanup(cancel)
	ctx, end := context.WithTimeout(ctx, 90*time.Second)
	i.Cleanup(end)
	b.Context = ctx
	call(b, network.Enable, network.EnableParams{})
	call(b, log.Enable, cdp.Empty{})
	b.act(chromedp.EmulateViewport(d.width, d.height, chromedp.EmulateScale(d.scale)))
	call(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: d.scheme}}})
	b.visit(i.page)
	i.Cleanup(func() {
		b.mutex.Lock()
		defer b.mutex.Unlock()
		for _, o := range b.origins {
			if o != origin(i.page) {
				i.Errorf("the page asked %s for something", o)
			}
		}
		for _, s := range b.broken {
			i.Errorf("the browser complains: %s", s)
		}
	})
	return b
}

// hear notes what the browser asks for, is answered, and complains of.
func (b *tab) hear(ev any) {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	switch ev := ev.(type) {
	case *network.EventRequestWillBeSent:
		b.origins = append(b.origins, origin(ev.Request.URL))
	case *network.EventResponseReceived:
		if ev.Type == network.ResourceTypeDocument {
			b.status = ev.Response.Status
		}
	case *log.EventEntryAdded:
		// That the server answered 4xx is what some tests want.
		if ev.Entry.Source != log.EntrySourceNetwork {
			b.broken = append(b.broken, ev.Entry.Text)
		}
	case *runtime.EventExceptionThrown:
		b.broken = append(b.broken, ev.ExceptionDetails.Text)
	}
}

func origin(address string) string {
	parts := strings.SplitN(address, "/", 4)
	return strings.Join(parts[:min(len(parts), 3)], "/")
}

func (b *tab) act(actions ...chromedp.Action[chromedp.Void]) {
	b.Helper()
	if err := chromedp.Do(b.Context, actions...); err != nil {
		b.Fatal(err)
	}
}

func call[P, R any](b *tab, command cdp.Command[P, R], p P) {
	b.Helper()
	if _, err := chromedp.Call(b.Context, command, p); err != nil {
		b.Fatal(err)
	}
}

func (b *tab) visit(address string) {
	b.Helper()
	b.act(chromedp.Navigate(address))
}

func evaluate[T any](b *tab, script string, o ...chromedp.EvaluateOption) T {
	b.Helper()
	v, err := chromedp.Run(b.Context, chromedp.Evaluate[T](script, o...))
	if err != nil {
		b.Fatalf("%s: %v", script[:min(len(script), 80)], err)
	}
	return v
}

func (b *tab) text() string { b.Helper(); return evaluate[string](b, "document.body.innerText") }

// says fails unless the page says all of it, with that status.
func (b *tab) says(status int64, want ...string) {
	b.Helper()
	b.mutex.Lock()
	got := b.status
	b.mutex.Unlock()
	if got != status {
		b.Errorf("the page is %d, want %d", got, status)
	}
	page := b.text()
	for _, s := range want {
		if !strings.Contains(page, s) {
			b.Errorf("the page lacks %q:\n%s", s, page)
		}
	}
}

// fill types what a person would.
func (b *tab) fill(choice, instance, name string) {
	b.Helper()
	b.act(chromedp.Click(chromedp.CSS("#decision-" + choice)))
	b.act(chromedp.SendKeys(chromedp.CSS("#instance"), instance), chromedp.SendKeys(chromedp.CSS("#name"), name), chromedp.SendKeys(chromedp.CSS("#reason"), "seen in the logs"))
}

// submit presses the button and waits for the answer.
func (b *tab) submit() {
	b.Helper()
	evaluate[bool](b, "window.old = true")
	b.act(chromedp.Click(chromedp.CSS("button[type=submit]")))
	b.arrived()
}

// arrived waits until another page than the one marked is there.
func (b *tab) arrived() {
	b.Helper()
	for range 100 {
		if v, err := chromedp.Run(b.Context, chromedp.Evaluate[bool]("!window.old && document.readyState === 'complete'")); err == nil && v {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	b.Fatal("no page came")
}

var axe = sync.OnceValue(func() string {
	b, err := os.ReadFile("../tools/node_modules/axe-core/axe.min.js")
	if err != nil {
		panic(err)
	}
	return string(b)
})

// accessible fails for each rule of axe-core that the page breaks, and where it
// must be scrolled sideways at the width of the smallest phone.
func (b *tab) accessible() {
	b.Helper()
	evaluate[bool](b, axe()+"; true")
	found := evaluate[string](b, `axe.run(document, {resultTypes: ["violations"]}).then(r => JSON.stringify(
		r.violations.map(v => ({rule: v.id, what: v.help, where: v.nodes.map(n => n.html + " " + n.failureSummary)}))))`, chromedp.EvalAwaitPromise)
	var violations []struct {
		Rule, What string
		Where      []string
	}
	if err := json.Unmarshal([]byte(found), &violations); err != nil {
		b.Fatal(err)
	}
	for _, v := range violations {
		b.Errorf("axe-core, %s: %s\n%s", v.Rule, v.What, strings.Join(v.Where, "\n"))
	}
	if passed := evaluate[int](b, `axe.run(document).then(r => r.passes.length)`, chromedp.EvalAwaitPromise); passed < 10 {
		b.Errorf("axe-core passed %d rules only: it did not look", passed)
	}
	if wide := evaluate[int](b, "document.documentElement.scrollWidth - document.documentElement.clientWidth"); wide > 0 {
		b.Errorf("the page is %d pixels too wide", wide)
	}
}

// picture keeps a picture of the page.
func (b *tab) picture(name string) {
	b.Helper()
	png, err := chromedp.Run(b.Context, chromedp.FullScreenshot(100))
	if err != nil {
		b.Fatal(err)
	}
	b.keep(name, png)
}

// glance keeps a picture of what is seen without scrolling.
func (b *tab) glance(name string) {
	b.Helper()
	png, err := chromedp.Run(b.Context, chromedp.CaptureScreenshot())
	if err != nil {
		b.Fatal(err)
	}
	b.keep(name, png)
}

func (b *tab) keep(name string, png []byte) {
	b.Helper()
	if err := os.MkdirAll("../bin/pages", 0o755); err != nil {
		b.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join("../bin/pages", name+".png"), png, 0o644); err != nil {
		b.Fatal(err)
	}
}

// How it looks: at a desk and on a phone, in the light and in the dark, in both
// languages.
func TestLooks(t *testing.T) {
	for _, language := range []string{"en", "ja"} {
		i := open(t, language)
		for name, d := range map[string]device{
			"desk-light": desk, "desk-dark": {desk.width, desk.height, 1, "dark"}, "phone-dark": phone, "phone-light": {phone.width, phone.height, 2, "light"}, "small": {320, 568, 2, "dark"},
		} {
			b := i.browse(d)
			want := map[string][]string{
				"en": {"Decide about an isolated EC2 instance", "checkout-web-3", "payments@example.com", "Gaps in the evidence", "it would still wait for", "Nobody has decided yet."},
				"ja": {"隔離中のEC2インスタンスについての決定", "checkout-web-3", "証拠の欠落", "次の完了を待ちます", "まだ誰も決定していません"},
			}[language]
			b.says(http.StatusOK, want...)
			b.accessible()
			b.picture(language + "-" + name)
			evaluate[bool](b, `document.getElementById("evidence").scrollIntoView(), true`)
			b.glance("glance-" + language + "-" + name)
			if got := evaluate[string](b, "document.documentElement.lang"); got != language {
				t.Errorf("a screen reader would read %q as %q", language, got)
			}
			dark := evaluate[bool](b, `getComputedStyle(document.body).backgroundColor === "rgb(22, 24, 28)"`)
			if dark != (d.scheme == "dark") {
				t.Errorf("%s: the ground is dark: %t", name, dark)
			}
		}
	}
}

// Every outcome is a page of its own, which a screen reader can read.
func TestOutcomes(t *testing.T) {
	for _, o := range []struct {
		name   string
		device device
		happen func(*tab)
		status int64
		says   []string
	}{
		{
			"recorded", desk, func(b *tab) { b.fill("terminate", b.instance, "Aiko Tanaka"); b.submit() }, 200,
			[]string{"Your decision is recorded", "Aiko Tanaka", "Terminate", "the name is a claim", "SHA-256"},
		},
		{"progress", phone, func(b *tab) {
			b.fill("terminate", b.instance, "Aiko Tanaka")
			b.submit()
			b.sleep(10 * time.Second)
			evaluate[bool](b, "window.old = true")
			b.act(chromedp.Click(chromedp.CSS("a.button")))
			b.arrived()
		}, 200, []string{"It is decided", "Done: It is verified", "Not yet: The instance is terminated"}},
		{"kept", desk, func(b *tab) {
			b.fill("keep", b.instance, "Aiko Tanaka")
			b.submit()
			b.sleep(3 * time.Hour)
			b.visit(b.page)
		}, 200, []string{"It is decided", "Done: The incident is closed and the instance stays isolated"}},
		{"released", desk, func(b *tab) {
			b.fill("release", b.instance, "Aiko Tanaka")
			b.submit()
			b.sleep(3 * time.Hour)
			b.visit(b.page)
		}, 200, []string{"Done: The instance is released"}},
		{"taken", phone, func(b *tab) {
			other := b.browse(desk)
			b.fill("release", b.instance, "Bob Brown")
			other.fill("keep", b.instance, "Aiko Tanaka")
			other.submit()
			b.submit()
		}, 409, []string{"It is already decided", "Aiko Tanaka", "Keep isolated", "Yours was not recorded"}},
		{
			"wrong instance", phone, func(b *tab) { b.fill("keep", "i-0123", "Aiko Tanaka"); b.submit() }, 422,
			[]string{"Nothing was recorded", "The typed instance ID is not the one"},
		},
		{"an old tab", desk, func(b *tab) {
			b.fill("keep", b.instance, "Aiko Tanaka")
			b.sleep(31 * time.Minute)
			b.submit()
		}, 422, []string{"more than 30 minutes ago"}},
		{"expired", phone, func(b *tab) {
			b.fill("keep", b.instance, "Aiko Tanaka")
			b.sleep(24*time.Hour - time.Minute)
			b.sleep(2 * time.Minute)
			b.submit()
		}, 410, []string{"This request has expired", "cordon decide"}},
		{"tampered", desk, func(b *tab) {
			b.fill("keep", b.instance, "Aiko Tanaka")
			b.act(chromedp.SetAttributeValue(chromedp.CSS("input[name=proof]"), "value", "1.AAAA"))
			b.submit()
		}, 403, []string{"not one that this page made"}},
		{"unknown", phone, func(b *tab) { b.visit(b.page + "x") }, 404, []string{"There is no such request"}},
		{"not verified yet", desk, func(b *tab) { b.visit(b.page + "?progress") }, 200, []string{"No decision has been verified yet", "To the form"}},
	} {
		t.Run(o.name, func(t *testing.T) {
			b := open(t, "en").browse(o.device)
			o.happen(b)
			b.says(o.status, o.says...)
			b.accessible()
			b.picture("outcome-" + strings.ReplaceAll(o.name, " ", "-"))
		})
	}
}

// Somebody without a mouse decides, and always sees where they are.
func TestKeyboardOnly(t *testing.T) {
	i := open(t, "en")
	b := i.browse(desk)
	focus := func() string {
		return evaluate[string](b, "document.activeElement.id || document.activeElement.tagName")
	}
	press := func(keys string) { b.act(chromedp.KeyEvent(keys)) }
	press(kb.Tab)
	if got := focus(); got != "A" {
		t.Fatalf("the first stop is %s, want the way to the form", got)
	}
	press(kb.Enter)
	press(kb.Tab)
	if got := focus(); !strings.HasPrefix(got, "decision-") {
		t.Fatalf("the next stop is %s, want the choices", got)
	}
	press(kb.ArrowDown) // from the first choice to the second
	for _, stop := range []struct{ id, typed string }{{"instance", i.instance}, {"name", "Aiko Tanaka"}, {"reason", "seen in the logs"}} {
		press(kb.Tab)
		if got := focus(); got != stop.id {
			t.Fatalf("the next stop is %s, want %s", got, stop.id)
		}
		if !evaluate[bool](b, `document.activeElement.matches(":focus-visible") && getComputedStyle(document.activeElement).outlineStyle !== "none"`) {
			t.Errorf("nobody sees that %s has the focus", stop.id)
		}
		press(stop.typed)
	}
	press(kb.Tab)
	if got := focus(); got != "BUTTON" {
		t.Fatalf("the last stop is %s, want the button", got)
	}
	evaluate[bool](b, "window.old = true")
	press(kb.Enter)
	b.arrived()
	b.says(http.StatusOK, "Your decision is recorded", "Keep isolated")
	if r := i.end(); r.Ending != "Kept isolated" {
		t.Errorf("it ended %s", r.Ending)
	}
}

// A browser that no person sits at: it runs what there is, follows every link,
// sends the form as it found it, past what the browser would check.
func TestScanners(t *testing.T) {
	i := open(t, "en")
	b := i.browse(desk)
	time.Sleep(time.Second) // what would act by itself
	for _, choice := range []string{"", "terminate", "keep", "release"} {
		b.visit(i.page)
		for _, link := range evaluate[[]string](b, `[...document.querySelectorAll("a")].map(a => a.href)`) {
			b.visit(link)
		}
		b.visit(i.page)
		evaluate[bool](b, "window.old = true")
		b.act(chromedp.Click(chromedp.CSS("button[type=submit]")))
		time.Sleep(200 * time.Millisecond)
		if !evaluate[bool](b, "window.old === true") {
			t.Error("the browser sent an empty form")
		}
		if choice != "" {
			b.act(chromedp.Click(chromedp.CSS("#decision-" + choice)))
		}
		evaluate[bool](b, `document.forms[0].noValidate = true, document.forms[0].submit(), true`)
		b.arrived()
		b.says(http.StatusUnprocessableEntity, "Nothing was recorded")
	}
	for _, header := range []string{"Sec-Purpose", "Purpose", "X-Moz"} {
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			r, err := http.NewRequestWithContext(t.Context(), method, i.page, nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set(header, "prefetch")
			a, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			if err := a.Body.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if r := i.end(); r.Ending != "Isolated, undecided" {
		t.Errorf("a machine decided: it ended %s", r.Ending)
	}
}

// However often and by however many it is pressed, it is one decision.
func TestPressedAgain(t *testing.T) {
	for _, c := range []struct {
		name  string
		press func(*incident, *tab)
	}{
		{"double click", func(i *incident, b *tab) {
			evaluate[bool](b, "window.old = true")
			b.act(chromedp.DoubleClick(chromedp.CSS("button[type=submit]")))
			b.arrived()
		}},
		{"reload of the answer", func(i *incident, b *tab) {
			b.submit()
			b.act(chromedp.Reload())
		}},
		{"back and again", func(i *incident, b *tab) {
			b.submit()
			b.act(chromedp.NavigateBack())
			b.fill("release", i.instance, "Aiko Tanaka")
			b.submit()
			b.says(http.StatusConflict, "already decided", "Keep isolated")
		}},
		{"back after it was verified", func(i *incident, b *tab) {
			b.submit()
			i.sleep(10 * time.Second)
			b.act(chromedp.NavigateBack())
			b.says(http.StatusOK, "It is decided", "Keep isolated")
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			i := open(t, "en")
			b := i.browse(desk)
			b.fill("keep", i.instance, "Aiko Tanaka")
			c.press(i, b)
			r := i.end()
			if n := decisions(t, r.Account); r.Ending != "Kept isolated" || n != 1 {
				t.Errorf("%d decisions, and it ended %s", n, r.Ending)
			}
		})
	}
}

// decisions counts what the decisions table holds.
func decisions(t *testing.T, account json.RawMessage) int {
	t.Helper()
	return strings.Count(string(account), `\"choice\":\"`) - strings.Count(string(account), `\"earlier\":[{`)
}
