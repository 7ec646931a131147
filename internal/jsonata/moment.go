package jsonata

import (
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Pictures of times, as https://www.w3.org/TR/xpath-functions-31/#date-picture-string
// has them, with the oddities of the reference.

// timePicture is the parts of a picture.
type timePicture []timePart

// timePart is a text of its own, or a component.
type timePart struct {
	text      string // where component is 0
	component byte
	names     byte // n, N or t for Title; 0 for a number
	zulu      bool // Z where there is no offset
	integer   *integerPicture
	digits    int  // of a year, month or day, -1 for any
	widest    int  // of a name, -1 for any
	known     bool // a component that the reference knows
}

const (
	numbered = "YMDdFWwXxHhmsf" // components
	weekly   = "dWwXx"          // those that count from a first of January
)

// presentations are those that a component has where the picture gives none.
var presentations = map[byte]string{
	'Y': "1", 'M': "1", 'D': "1", 'd': "1", 'F': "n", 'W': "1", 'w': "1", 'X': "1", 'x': "1", 'H': "1", 'h': "1",
	'P': "n", 'm': "01", 's': "01", 'f': "1", 'Z': "01:01", 'z': "01:01", 'C': "n", 'E': "n",
}

func newTimePicture(text string) (timePicture, error) {
	if len(text) > maxPicture {
		return nil, Unsupported("a picture of such a length")
	}
	var p timePicture
	literal := func(s string) {
		if s != "" {
			p = append(p, timePart{text: strings.ReplaceAll(s, "]]", "]")})
		}
	}
	for {
		before, rest, found := strings.Cut(text, "[")
		literal(before)
		if !found {
			return p, nil
		}
		if strings.HasPrefix(rest, "[") {
			p = append(p, timePart{text: "["})
			text = rest[1:]
			continue
		}
		marker, rest, found := strings.Cut(rest, "]")
		if !found {
			return nil, &Error{Code: "D3135"}
		}
		part, err := newTimePart(strings.Join(strings.Fields(marker), ""))
		if err != nil {
			return nil, err
		}
		p, text = append(p, part), rest
	}
}

// newTimePart reads what stands between brackets.
func newTimePart(marker string) (timePart, error) {
	refused := Unsupported("the picture [" + marker + "]")
	if strings.ContainsFunc(marker, func(r rune) bool { return r >= utf8.RuneSelf }) {
		return timePart{}, refused
	}
	if marker == "" {
		return timePart{}, &Error{Code: "D3132", Value: ""}
	}
	t := timePart{component: marker[0], digits: -1, widest: -1}
	presentation, least := marker[1:], -1
	if comma := strings.LastIndexByte(marker, ','); comma >= 0 {
		if comma == 0 {
			return timePart{}, refused
		}
		low, high, ranged := strings.Cut(marker[comma+1:], "-")
		presentation = marker[1:comma]
		if least, t.widest = width(low), -1; ranged {
			t.widest = width(high)
		}
		if least == noWidth || t.widest == noWidth {
			return timePart{}, refused
		}
	}
	first := presentation
	switch {
	case presentation == "":
		if first = presentations[t.component]; first == "" {
			return timePart{}, &Error{Code: "D3132", Value: marker[:1]}
		}
	case len(presentation) > 1 && strings.IndexByte("atco", presentation[len(presentation)-1]) >= 0:
		first = presentation[:len(presentation)-1]
	}
	second := ""
	if presentation != "" {
		second = presentation[len(first):]
	}
	t.zulu = second == "t"
	_, t.known = presentations[t.component]
	switch {
	case strings.HasPrefix(first, "Nn"):
		t.names = 't'
	case first[0] == 'n' || first[0] == 'N':
		t.names = first[0]
	case strings.IndexByte(numbered, t.component) >= 0:
		if second != "" {
			first += ";" + second
		}
		var err error
		if t.integer, err = newIntegerPicture(first); err != nil {
			return timePart{}, err
		}
		t.integer.least = max(t.integer.least, least)
		if t.integer.form == '1' && strings.IndexByte("YMD", t.component) >= 0 {
			if t.widest >= 0 {
				t.digits, t.integer.least = t.widest, t.widest
			} else if w := t.integer.least + t.integer.optional; w >= 2 {
				t.digits = w
			}
		} else if t.component == 'Y' && t.widest >= 0 {
			t.digits = t.widest
		}
	}
	if t.component == 'Z' || t.component == 'z' {
		var err error
		if t.integer, err = newIntegerPicture(first); err != nil {
			return timePart{}, err
		}
	}
	return t, nil
}

// width is that of a component, -1 for any.
func width(text string) int {
	if text == "*" {
		return -1
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 || n > 100 {
		return noWidth
	}
	return n
}

const noWidth = -2 // of which JavaScript makes something odd

var isoPicture = func() timePicture {
	p, err := newTimePicture("[Y0001]-[M01]-[D01]T[H01]:[m01]:[s01].[f001][Z01:01t]")
	if err != nil {
		panic(err)
	}
	return p
}()

// offset is one of a whole number of hours, or ahead of UTC: behind it the reference
// takes half an hour in the wrong direction.
var offset = regexp.MustCompile(`^(\+?\d{1,4}|-\d{1,2}00)$`)

// fromMillis writes a time, of the years 0 to 9999, by a picture and in a timezone.
func fromMillis(args []any) (any, error) {
	millis, _ := asNumber(args[0])
	const first, last = -62167219200000, 253402300799999
	if !(millis >= first && millis <= last) {
		return nil, Unsupported("$fromMillis of such a number")
	}
	p := isoPicture
	if text, is := argument(args, 1).(string); is {
		var err error
		if p, err = newTimePicture(text); err != nil {
			return nil, err
		}
	}
	zone := 0 // as in +0530
	if text, is := argument(args, 2).(string); is {
		var err error
		if zone, err = strconv.Atoi(text); err != nil || !offset.MatchString(text) {
			return nil, Unsupported("the timezone " + text)
		}
	}
	t := time.UnixMilli(int64(math.Trunc(millis))).UTC().Add(time.Duration(zone/100)*time.Hour + time.Duration(zone%100)*time.Minute)
	if t.Year() < 0 || t.Year() > 9999 {
		return nil, Unsupported("$fromMillis of such a number")
	}
	var b strings.Builder
	for _, part := range p {
		s, err := part.format(t, zone)
		if err != nil {
			return nil, err
		}
		b.WriteString(s)
	}
	return b.String(), nil
}

func (t timePart) format(at time.Time, zone int) (string, error) {
	switch {
	case t.component == 0:
		return t.text, nil
	case t.component == 'C' || t.component == 'E':
		return "ISO", nil
	case t.component == 'P':
		s := "am"
		if at.Hour() >= 12 {
			s = "pm"
		}
		if t.names == 'N' {
			s = strings.ToUpper(s)
		}
		return s, nil
	case t.component == 'Z' || t.component == 'z':
		return t.zone(zone)
	case !t.known:
		return "", Unsupported("the component " + string(t.component)) // the reference writes undefined
	}
	if at.Year() <= 100 && strings.IndexByte(weekly, t.component) >= 0 {
		return "", Unsupported("weeks of such a year") // JavaScript's Date.UTC takes 99 for 1999
	}
	n := fragment(at, t.component)
	switch {
	case t.names == 0:
		if t.component == 'Y' && t.digits >= 0 && t.digits < 10 {
			n %= int(math.Pow10(t.digits))
		}
		return t.integer.format(float64(n))
	case t.component == 'f':
		return "", Unsupported("the name of a part of a second")
	}
	names := t.all()
	if names == nil {
		return "", &Error{Code: "D3133", Value: string(t.component)}
	}
	s := names[n-1]
	switch t.names {
	case 'N':
		s = strings.ToUpper(s)
	case 'n':
		s = strings.ToLower(s)
	}
	if t.widest >= 0 {
		s = s[:min(len(s), t.widest)]
	}
	return s, nil
}

// all are the names of a component's values, nil where they have none.
func (t timePart) all() []string {
	switch t.component {
	case 'M', 'x':
		return months
	case 'F':
		return days
	}
	return nil
}

var (
	months = strings.Fields("January February March April May June July August September October November December")
	days   = strings.Fields("Monday Tuesday Wednesday Thursday Friday Saturday Sunday")
)

// zone writes an offset such as 530, which is five hours and a half.
func (t timePart) zone(offset int) (string, error) {
	var s string
	var err error
	switch p := t.integer; {
	case p.form == '1' && (p.every > 0 || p.least == 3 || p.least == 4):
		s, err = p.format(float64(offset))
	case p.form == '1' && p.least <= 2:
		if s, err = p.format(float64(offset / 100)); offset%100 != 0 {
			s += ":" + strconv.Itoa(100 + offset%100)[1:]
		}
	case p.form == '1':
		return "", &Error{Code: "D3134", Value: float64(p.least)}
	default:
		return "", &Error{Code: "D3134"}
	}
	if offset >= 0 {
		s = "+" + s
	}
	if t.component == 'z' {
		s = "GMT" + s
	}
	if offset == 0 && t.zulu {
		s = "Z"
	}
	return s, err
}

// fragment is a component's value.
func fragment(at time.Time, component byte) int {
	weekday := (int(at.Weekday())+6)%7 + 1 // Monday is 1
	switch component {
	case 'Y':
		return at.Year()
	case 'M':
		return int(at.Month())
	case 'D':
		return at.Day()
	case 'd':
		return at.YearDay()
	case 'F':
		return weekday
	case 'W', 'X':
		year, week := at.ISOWeek()
		if component == 'W' {
			return week
		}
		return year
	case 'w', 'x': // the same, of months: a week belongs to where its Thursday is
		thursday := at.AddDate(0, 0, 4-weekday)
		if component == 'w' {
			return (thursday.Day()-1)/7 + 1
		}
		return int(thursday.Month())
	case 'H':
		return at.Hour()
	case 'h':
		return (at.Hour()+11)%12 + 1
	case 'm':
		return at.Minute()
	case 's':
		return at.Second()
	}
	return at.Nanosecond() / 1e6
}

// toMillis reads a time, by a picture or plain.
func toMillis(e *evaluation, args []any, _ any) (any, error) {
	text, is := args[0].(string)
	picture, pictured := argument(args, 1).(string)
	switch {
	case !is:
		return nil, nil
	case pictured:
		return e.byPicture(text, picture)
	case !timestamp.MatchString(text):
		return nil, &Error{Code: "D3110", Value: text}
	}
	for layout, form := range timestamps {
		if form.MatchString(text) {
			if t, err := time.Parse(layout, text); err == nil {
				return float64(t.UnixMilli()), nil
			}
		}
	}
	return nil, Unsupported("the time " + text)
}

// timestamp is what $toMillis tries to read.
var timestamp = regexp.MustCompile(`^\d{4}(-[01]\d)*(-[0-3]\d)*(T[0-2]\d:[0-5]\d:[0-5]\d)*(\.\d+)?([+-][0-2]\d:?[0-5]\d|Z)?$`)

// timestamps are those of which JavaScript and RFC 3339 make the same. Without a zone
// they are of UTC, as where Step Functions runs.
var timestamps = map[string]*regexp.Regexp{
	"2006":       regexp.MustCompile(`^\d{4}$`),
	"2006-01":    regexp.MustCompile(`^\d{4}-\d\d$`),
	"2006-01-02": regexp.MustCompile(`^\d{4}-\d\d-\d\d$`),

	"2006-01-02T15:04:05":       regexp.MustCompile(`^[-\d]{10}T[:\d]{8}(\.\d+)?$`),
	"2006-01-02T15:04:05Z07:00": regexp.MustCompile(`^[-\d]{10}T[:\d]{8}(\.\d+)?(Z|[+-]([01]\d|2[0-3]):\d\d)$`),
	"2006-01-02T15:04:05Z0700":  regexp.MustCompile(`^[-\d]{10}T[:\d]{8}(\.\d+)?[+-]([01]\d|2[0-3])\d\d$`),
}

// byPicture reads a time by a picture. Undefined is a text that is none.
func (e *evaluation) byPicture(text, picture string) (any, error) {
	p, err := newTimePicture(picture)
	if err != nil {
		return nil, err
	}
	if len(text) > maxPictured {
		return nil, Unsupported("a text of such a length by a picture")
	}
	refused := Unsupported("$toMillis of " + text + " with the picture " + picture)
	pattern := "(?i)^"
	for _, part := range p {
		one, err := part.pattern()
		if err != nil {
			return nil, err
		}
		pattern += "(" + one + ")"
	}
	if e.steps -= len(pattern) * (16 + len(text)) / 64; e.steps < 0 { // to compile it, and to read by it
		return nil, errBeyond
	}
	sought, err := regexp.Compile(pattern + "$")
	if err != nil || strings.ContainsFunc(text+picture, func(r rune) bool { return r >= utf8.RuneSelf }) {
		return nil, refused // folding of letters differs
	}
	found := sought.FindStringSubmatch(text)
	if found == nil {
		return nil, nil
	}
	of, read := map[byte]int{}, false
	for i, part := range p {
		if part.component == 0 {
			continue
		}
		read = true
		value, is, err := part.parse(found[i+1])
		if err != nil {
			return nil, err
		}
		if delete(of, part.component); is {
			of[part.component] = value
		}
	}
	if !read {
		return nil, nil
	}
	return moment(of, refused)
}

// moment is the time that components name, from the largest down: what is left out
// above one that is there is taken from now, which is refused.
func moment(of map[byte]int, refused error) (any, error) {
	// Without the value 0, which the reference takes for none here.
	among := func(components string, all string) bool {
		some := false
		for i := range all {
			if of[all[i]] == 0 {
				continue
			}
			if some = true; strings.IndexByte(components, all[i]) < 0 {
				return false
			}
		}
		return some
	}
	const dates, times = "YXMxWwdD", "PHhmsf"
	byDay := !among("YMD", dates) && among("Yd", dates)
	halfDay := !among("Hmsf", times) && among("Phmsf", times)
	missing := &Error{Code: "D3136"}
	if !byDay && (among("Xxw", dates) || among("XW", dates)) {
		return nil, missing
	}
	order := "YMDHmsf"
	switch {
	case byDay && halfDay:
		order = "YDPhmsf"
	case byDay:
		order = "YDHmsf"
	case halfDay:
		order = "YMDPhmsf"
	}
	begun, ended := false, false
	for i := range order {
		_, there := of[order[i]]
		switch {
		case there && ended:
			return nil, missing
		case there:
			begun = true
		case !begun:
			return nil, refused
		default:
			ended = true
			if order[i] == 'M' || order[i] == 'D' {
				of[order[i]] = 1
			}
		}
	}
	month, day, hour := max(1, of['M']), of['D'], of['H']
	if byDay {
		month, day = 1, of['d']
	}
	if halfDay {
		hour = of['h']%12 + 12*of['P']
		if of['h'] > 12 {
			return nil, refused
		}
	}
	year := of['Y']
	if year < 100 {
		year += 1900 // as JavaScript's Date.UTC
	}
	if year > 9999 {
		return nil, refused
	}
	at := time.Date(year, time.Month(month), day, hour, of['m'], of['s'], of['f']*1e6, time.UTC)
	if !byDay && (int(at.Month()) != month || at.Day() != day) || byDay && at.YearDay() != day ||
		at.Year() != year || at.Hour() != hour || at.Minute() != of['m'] || at.Second() != of['s'] || of['f'] > 999 {
		return nil, refused // the reference takes the 30th of February for the 1st of March
	}
	zone := of['Z']
	if zone == 0 {
		zone = of['z']
	}
	return float64(at.UnixMilli() - int64(zone)*60_000), nil
}

// pattern is what a part looks like.
func (t timePart) pattern() (string, error) {
	switch {
	case t.component == 0:
		return regexp.QuoteMeta(t.text), nil
	case t.component == 'Z' || t.component == 'z':
		s := `[-+][0-9]+`
		if t.integer.every > 0 {
			if t.integer.separators[0].char != ':' {
				return "", Unsupported("a timezone of such a form")
			}
			s += `:[0-9]+`
		}
		if t.component == 'z' {
			s = "GMT" + s
		}
		return s, nil
	case t.integer != nil:
		return t.integer.pattern(max(0, t.digits))
	case t.all() == nil && t.component != 'P':
		return "", &Error{Code: "D3133", Value: string(t.component)}
	}
	return `[a-zA-Z]+`, nil
}

// parse reads what its pattern has found; a name that is none is nothing.
func (t timePart) parse(s string) (value int, is bool, err error) {
	switch {
	case t.component == 'Z' || t.component == 'z':
		s = strings.TrimPrefix(strings.ToUpper(s), "GMT")
		hours, minutes, separated := strings.Cut(s, ":")
		if !separated && len(s) > 3 {
			hours, minutes = s[:3], s[3:]
		}
		h, err := strconv.Atoi(hours)
		m, bad := 0, false
		if minutes != "" {
			var err error
			m, err = strconv.Atoi(minutes)
			bad = err != nil
		}
		if err != nil || bad || m != 0 && strings.HasPrefix(s, "-") || h > 99 || m > 99 {
			return 0, false, Unsupported("the timezone " + s) // the reference goes the other way
		}
		return h*60 + m, true, nil
	case t.integer != nil:
		f, err := t.integer.parse(s)
		if err == nil && !(math.Abs(f) < 1e6) {
			err = Unsupported("a time with " + s)
		}
		return int(f), true, err
	case t.component == 'P':
		switch s {
		case "am", "AM":
			return 0, true, nil
		case "pm", "PM":
			return 1, true, nil
		}
		return 0, false, nil
	}
	i := slices.IndexFunc(t.all(), func(name string) bool {
		if t.widest > 0 {
			name = name[:min(len(name), t.widest)]
		}
		return name == s
	})
	if t.widest > 0 && t.widest < 3 { // several names begin so, and the last is taken
		return 0, false, Unsupported("names of " + strconv.Itoa(t.widest) + " letters")
	}
	return i + 1, i >= 0, nil
}
