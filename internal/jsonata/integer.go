package jsonata

import (
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Pictures of whole numbers, as https://www.w3.org/TR/xpath-functions-31/#formatting-integers
// has them, with the oddities of the reference.

// maxPicture, in bytes, since each separator is looked through the whole number for;
// and maxPictured that of a text that is read by one.
const (
	maxPicture  = 200
	maxPictured = 1000
)

// integerPicture says how a whole number is written.
type integerPicture struct {
	form    byte // '1' digits, 'a' letters, 'i' Roman, 'w' words, '#' none that is known
	upper   bool
	title   bool
	ordinal bool
	token   string // where no form is known

	least, optional int // digits
	separators      []separator
	every           int // digits between separators, 0 where they stand irregularly
}

// separator stands before so many digits.
type separator struct {
	digits int
	char   byte
}

func newIntegerPicture(text string) (*integerPicture, error) {
	switch {
	case len(text) > maxPicture:
		return nil, Unsupported("a picture of such a length")
	case strings.ContainsFunc(text, func(r rune) bool { return r >= 0x80 }):
		return nil, Unsupported("the picture " + text)
	}
	p := &integerPicture{form: '1'}
	if at := strings.LastIndexByte(text, ';'); at >= 0 {
		p.ordinal = strings.HasPrefix(text[at+1:], "o")
		text = text[:at]
	}
	switch text {
	case "a", "A", "i", "I", "w", "W":
		p.form, p.upper = text[0]|0x20, text[0] < 'a'
	case "Ww":
		p.form, p.title = 'w', true
	default:
		digits := 0
		for i := len(text) - 1; i >= 0; i-- {
			switch c := text[i]; {
			case c >= '0' && c <= '9':
				p.least++
				digits++
			case c == '#':
				p.optional++
				digits++
			default:
				p.separators = append(p.separators, separator{digits, c})
			}
		}
		if p.least == 0 {
			return &integerPicture{form: '#', token: text}, nil
		}
		p.every = everyFew(p.separators)
	}
	return p, nil
}

// everyFew is the distance of separators that are alike and stand regularly, or 0.
func everyFew(all []separator) int {
	positions := make([]int, len(all))
	for i, s := range all {
		if s.char != all[0].char {
			return 0
		}
		positions[i] = s.digits
	}
	return interval(positions)
}

// none is the error of a form that nobody knows.
func (p *integerPicture) none() error {
	if p.form == '#' {
		return &Error{Code: "D3130", Value: p.token}
	}
	return nil
}

// most is the largest number that is written: beyond it doubles have gaps, and Roman
// numbers no end.
func (p *integerPicture) most() float64 {
	if p.form == 'i' {
		return 1e5
	}
	return 1 << 53
}

func (p *integerPicture) format(x float64) (string, error) {
	if err := p.none(); err != nil {
		return "", err
	}
	if !(math.Abs(x) < p.most()) {
		return "", Unsupported("a picture of such a number")
	}
	n := int64(math.Abs(x))
	var s string
	switch p.form {
	case 'a':
		s = toLetters(n)
	case 'i':
		s = toRoman(n)
	case 'w':
		s = toWords(n, "", p.ordinal)
	default:
		s = p.digits(n)
	}
	switch {
	case p.form == '1', p.title:
	case p.upper:
		s = strings.ToUpper(s)
	default:
		s = strings.ToLower(s)
	}
	if x < 0 {
		s = "-" + s
	}
	return s, nil
}

func (p *integerPicture) digits(n int64) string {
	s := strconv.FormatInt(n, 10)
	s = strings.Repeat("0", max(0, p.least-len(s))) + s
	if p.every > 0 {
		for i := (len(s) - 1) / p.every; i > 0; i-- {
			at := len(s) - i*p.every
			s = s[:at] + string(p.separators[0].char) + s[at:]
		}
	} else {
		for _, sep := range slices.Backward(p.separators) {
			at := len(s) - sep.digits
			s = s[:max(0, at)] + string(sep.char) + s[fromEnd(s, at):]
		}
	}
	if p.ordinal {
		suffix := map[byte]string{'1': "st", '2': "nd", '3': "rd"}[s[len(s)-1]]
		if suffix == "" || len(s) > 1 && s[len(s)-2] == '1' {
			suffix = "th"
		}
		s += suffix
	}
	return s
}

// fromEnd is where JavaScript's substr begins: a place before the text counts from its end.
func fromEnd(s string, at int) int {
	if at < 0 {
		at = max(0, len(s)+at)
	}
	return at
}

func toLetters(n int64) string {
	var b []byte
	for ; n > 0; n = (n - 1) / 26 {
		b = append(b, byte('a'+(n-1)%26))
	}
	slices.Reverse(b)
	return string(b)
}

var romans = []struct {
	value int64
	text  string
}{
	{1000, "M"},
	{900, "CM"},
	{500, "D"},
	{400, "CD"},
	{100, "C"},
	{90, "XC"},
	{50, "L"},
	{40, "XL"},
	{10, "X"},
	{9, "IX"},
	{5, "V"},
	{4, "IV"},
	{1, "I"},
}

func toRoman(n int64) string {
	var b strings.Builder
	for _, r := range romans {
		for ; n >= r.value; n -= r.value {
			b.WriteString(r.text)
		}
	}
	return b.String()
}

var (
	few = strings.Fields("Zero One Two Three Four Five Six Seven Eight Nine Ten Eleven Twelve Thirteen Fourteen" +
		" Fifteen Sixteen Seventeen Eighteen Nineteen")
	fewth = strings.Fields("Zeroth First Second Third Fourth Fifth Sixth Seventh Eighth Ninth Tenth Eleventh Twelfth" +
		" Thirteenth Fourteenth Fifteenth Sixteenth Seventeenth Eighteenth Nineteenth")
	tens       = strings.Fields("Twenty Thirty Forty Fifty Sixty Seventy Eighty Ninety Hundred") // the reference counts the last one, too
	magnitudes = strings.Fields("Thousand Million Billion Trillion")
)

// toWords puts a number into words; joint is what stands between it and the words before
// it, "" where there are none and ", " or " and " where there are.
func toWords(n int64, joint string, ordinal bool) string {
	small := func(rest int64) string {
		switch {
		case rest > 0:
			return toWords(rest, ", ", ordinal)
		case ordinal:
			return "th"
		}
		return ""
	}
	and := ""
	if joint != "" {
		and = " and "
	}
	switch {
	case n < 20 && ordinal:
		return and + fewth[n]
	case n < 20:
		return and + few[n]
	case n < 100:
		ten := tens[n/10-2]
		switch {
		case n%10 > 0:
			return and + ten + "-" + toWords(n%10, "", ordinal)
		case ordinal:
			return and + ten[:len(ten)-1] + "ieth"
		}
		return and + ten
	case n < 1000:
		return joint + few[n/100] + " Hundred" + small(n%100)
	}
	magnitude, factor := 0, int64(1000)
	for magnitude < len(magnitudes)-1 && n/factor >= 1000 {
		magnitude, factor = magnitude+1, factor*1000
	}
	return joint + toWords(n/factor, "", false) + " " + magnitudes[magnitude] + small(n%factor)
}

// words are the values of words that are read.
var words = func() map[string]float64 {
	all := map[string]float64{"hundredth": 100}
	for i, word := range few {
		all[strings.ToLower(word)], all[strings.ToLower(fewth[i])] = float64(i), float64(i)
	}
	for i, word := range tens {
		word = strings.ToLower(word)
		all[word], all[word[:len(word)-1]+"ieth"] = float64(10*(i+2)), float64(10*(i+2))
	}
	value := 1.0
	for _, word := range magnitudes {
		value *= 1000
		word = strings.ToLower(word)
		all[word], all[word+"th"] = value, value
	}
	return all
}()

var betweenWords = regexp.MustCompile(`,[ \t\n\v\f\r]|[ \t\n\v\f\r]and[ \t\n\v\f\r]|[ \t\n\v\f\r\\-]`)

func fromWords(text string) float64 {
	parts := []float64{0}
	for _, word := range betweenWords.Split(text, -1) {
		last := len(parts) - 1
		value, known := words[word]
		switch {
		case !known:
			return math.NaN()
		case value >= 100:
			parts[last] *= value
		case parts[last] >= 1000:
			parts = append(parts, value)
		default:
			parts[last] += value
		}
	}
	sum := 0.0
	for _, part := range parts {
		sum += part
	}
	return sum
}

func fromRoman(text string) float64 {
	sum, most := 0.0, 1.0
	for i := len(text) - 1; i >= 0; i-- {
		value, known := map[byte]float64{'M': 1000, 'D': 500, 'C': 100, 'L': 50, 'X': 10, 'V': 5, 'I': 1}[text[i]]
		switch {
		case !known:
			return math.NaN()
		case value < most:
			sum -= value
		default:
			most = value
			sum += value
		}
	}
	return sum
}

// pattern is what a number looks like to $toMillis; digits says how many, 0 for any.
func (p *integerPicture) pattern(digits int) (string, error) {
	switch p.form {
	case 'a':
		return `[a-z]+`, nil
	case 'i':
		return `[mdclxvi]+`, nil
	case 'w':
		return `(?:` + wordPattern + `)+`, nil
	case '#':
		return "", p.none()
	}
	many := "+"
	if least := digits - p.optional; digits > 0 {
		if least < 0 || digits > 100 {
			return "", Unsupported("a picture of so many digits")
		}
		many = "{" + strconv.Itoa(least) + "," + strconv.Itoa(digits) + "}"
	}
	suffix := ""
	if p.ordinal {
		suffix = `(?:th|st|nd|rd)`
	}
	return `[0-9]` + many + suffix, nil
}

// wordPattern names them in the order of the reference, which takes the first that fits.
var wordPattern = func() string {
	var all []string
	for _, list := range [][]string{few, fewth} {
		for _, word := range list {
			all = append(all, strings.ToLower(word))
		}
	}
	for _, word := range tens {
		word = strings.ToLower(word)
		all = append(all, word, word[:len(word)-1]+"ieth")
	}
	all = append(all, "hundredth")
	for _, word := range magnitudes {
		word = strings.ToLower(word)
		all = append(all, word, word+"th")
	}
	return strings.Join(append(all, "and", "[-, ]"), "|")
}()

var leadingDigits = regexp.MustCompile(`^[ \t\n\r]*([+-]?\d+)`)

// parse reads a number, NaN where there is none.
func (p *integerPicture) parse(text string) (float64, error) {
	if err := p.none(); err != nil {
		return 0, err
	}
	switch {
	case len(text) > maxPictured:
		return 0, Unsupported("a text of such a length by a picture")
	case strings.ContainsFunc(text, func(r rune) bool { return r >= 0x80 }):
		return 0, Unsupported("the text " + text + " by a picture")
	}
	switch p.form {
	case 'a':
		first := byte('a')
		if p.upper {
			first = 'A'
		}
		sum := 0.0
		for i := range len(text) {
			if text[i] < first || text[i] > first+25 { // the reference reckons on
				return 0, Unsupported("the letters " + text)
			}
			sum = sum*26 + float64(text[i]-first+1)
		}
		return sum, nil
	case 'i':
		if !p.upper {
			text = strings.ToUpper(text)
		}
		return fromRoman(text), nil
	case 'w':
		return fromWords(strings.ToLower(text)), nil
	}
	if p.ordinal {
		text = text[:max(0, len(text)-2)]
	}
	if p.every > 0 {
		text = strings.ReplaceAll(text, ",", "") // whatever separates
	} else {
		for _, s := range p.separators {
			text = strings.ReplaceAll(text, string(s.char), "")
		}
	}
	found := leadingDigits.FindStringSubmatch(text)
	switch {
	case found == nil:
		return math.NaN(), nil
	case strings.HasPrefix(strings.TrimLeft(found[1], "+-"), "0") && strings.ContainsAny(text, "xX"), len(found[1]) > 16:
		return 0, Unsupported("$parseInteger of " + text)
	}
	return strconv.ParseFloat(found[1], 64)
}

func formatInteger(args []any) (any, error) {
	x, _ := asNumber(args[0])
	picture, is := argument(args, 1).(string)
	if !is {
		return nil, Unsupported("$formatInteger without a picture")
	}
	p, err := newIntegerPicture(picture)
	if err != nil {
		return nil, err
	}
	return orError(p.format(math.Floor(x)))
}

func parseInteger(args []any) (any, error) {
	text, is := args[0].(string)
	picture, also := argument(args, 1).(string)
	if !is || !also {
		return nil, Unsupported("$parseInteger without a picture")
	}
	p, err := newIntegerPicture(picture)
	if err != nil {
		return nil, err
	}
	return orError(p.parse(text)) // what is no number is none on AWS, too: https://github.com/floci-io/floci/pull/2783
}

// orError is a result of any type, or none with the error.
func orError[T any](v T, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	return v, nil
}
