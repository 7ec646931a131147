package jsonata

import (
	"math"
	"slices"
	"strconv"
	"strings"
)

// round rounds to so many decimal places, half to even in decimal.
func round(x float64, places int) float64 {
	x = shifted(x, places)
	result := math.Floor(x)
	if x-result >= 0.5 {
		result++
	}
	if math.Abs(result-x) == 0.5 && math.Mod(result, 2) != 0 {
		result--
	}
	return shifted(result, -places) + 0 // no -0
}

// shifted moves the decimal point, in the digits that JavaScript would write.
func shifted(x float64, places int) float64 {
	switch {
	case places != 0 && math.IsInf(x, 0):
		return math.NaN() // it has no digits
	case places == 0, x == 0, math.IsNaN(x), math.IsInf(x, 0):
		return x
	}
	digits, exponent, _ := strings.Cut(strconv.FormatFloat(x, 'e', -1, 64), "e")
	power, err := strconv.Atoi(exponent)
	if err != nil {
		return math.NaN()
	}
	moved, _ := strconv.ParseFloat(digits+"e"+strconv.Itoa(power+places), 64) // beyond its range it is infinite or 0, as in JavaScript
	return moved
}

// formatBase writes a number in a radix.
func formatBase(args []any) (any, error) {
	x, _ := asNumber(args[0])
	radix, is := asNumber(argument(args, 1))
	if !is {
		radix = 10
	}
	x, radix = round(x, 0), round(radix, 0)
	switch {
	case radix < 2 || radix > 36:
		return nil, &Error{Code: "D3100", Value: radix}
	case math.Abs(x) >= 1<<53:
		return nil, Unsupported("$formatBase of such a number")
	}
	return strconv.FormatInt(int64(x), int(radix)), nil
}

// numberFormat are the characters that have a meaning in a picture.
type numberFormat struct {
	point, grouping, exponent, minus, percent, permille, zero, digit, pattern rune
}

// options are those of $formatNumber; longer names than of one character are refused.
func (n *numberFormat) options(v any) error {
	o, is := v.(*Object)
	if !is {
		return nil
	}
	names := map[string]*rune{
		"decimal-separator": &n.point, "grouping-separator": &n.grouping, "exponent-separator": &n.exponent, "minus-sign": &n.minus,
		"percent": &n.percent, "per-mille": &n.permille, "zero-digit": &n.zero, "digit": &n.digit, "pattern-separator": &n.pattern,
	}
	for _, key := range o.keys {
		text, _ := o.values[key].(string)
		one := []rune(text)
		to := names[key]
		if to == nil || len(one) != 1 || one[0] > 0xffff {
			return Unsupported("the option " + key + " of $formatNumber")
		}
		*to = one[0]
	}
	return nil
}

func (n *numberFormat) isDigit(c rune) bool { return c >= n.zero && c < n.zero+10 }

func (n *numberFormat) isActive(c rune) bool {
	return n.isDigit(c) || c == n.point || c == n.exponent || c == n.grouping || c == n.digit || c == n.pattern
}

func (n *numberFormat) count(part []rune, optional bool) int {
	count := 0
	for _, c := range part {
		if n.isDigit(c) || optional && c == n.digit {
			count++
		}
	}
	return count
}

// picture is a part of a picture, taken apart and analysed.
// https://www.w3.org/TR/xpath-functions-31/#formatting-numbers
type picture struct {
	all, prefix, suffix, active, mantissa, exponent, whole, fraction []rune

	exponential                                                bool
	groups, fractionGroups                                     []int
	regular, scale                                             int
	leastWhole, leastFraction, mostFraction, leastExponentSize int
}

// picture takes a part of a picture apart, with the oddities of the reference: the
// suffix stands for the fraction where there is none.
func (n *numberFormat) picture(text string) *picture {
	p := &picture{all: []rune(text)}
	begins := func(c rune) bool { return n.isActive(c) && c != n.exponent }
	first := slices.IndexFunc(p.all, begins)
	last := len(p.all) - 1
	for ; last >= 0 && !begins(p.all[last]); last-- {
	}
	if first < 0 { // AWS calls all of it active: https://github.com/floci-io/floci/issues/2737
		first, last = 0, len(p.all)-1
	}
	p.prefix, p.suffix, p.active = p.all[:first], p.all[last+1:], p.all[first:last+1]
	p.mantissa = p.active
	if at := slices.Index(p.all[first:], n.exponent); at >= 0 && first+at <= last+1 {
		at += first // in the whole of it, and used in the active part
		p.exponential = true
		p.mantissa = p.active[:min(at, len(p.active))]
		p.exponent = p.active[min(at+1, len(p.active)):]
	}
	p.whole, p.fraction = p.mantissa, p.suffix
	if at := slices.Index(p.mantissa, n.point); at >= 0 {
		p.whole, p.fraction = p.mantissa[:at], p.mantissa[at+1:]
	}
	return p
}

// broken is the code of the last rule that a part breaks, as the reference has it.
func (n *numberFormat) broken(p *picture) string {
	twice := func(c rune) bool {
		at := slices.Index(p.all, c)
		return at >= 0 && slices.Contains(p.all[at+1:], c)
	}
	has := func(c rune) bool { return slices.Contains(p.all, c) }
	at := func(i int) rune {
		if i < 0 || i >= len(p.all) {
			return -1
		}
		return p.all[i]
	}
	pointAt := slices.Index(p.all, n.point)
	optional := slices.Index(p.whole, n.digit)
	lastOptional := len(p.fraction) - 1
	for ; lastOptional >= 0 && p.fraction[lastOptional] != n.digit; lastOptional-- {
	}
	code := ""
	for _, rule := range []struct {
		code   string
		broken bool
	}{
		{"D3081", twice(n.point)},
		{"D3082", twice(n.percent)},
		{"D3083", twice(n.permille)},
		{"D3084", has(n.percent) && has(n.permille)},
		{"D3085", n.count(p.mantissa, true) == 0},
		{"D3086", slices.ContainsFunc(p.active, func(c rune) bool { return !n.isActive(c) })},
		{"D3087", pointAt >= 0 && (at(pointAt-1) == n.grouping || at(pointAt+1) == n.grouping)},
		{"D3088", pointAt < 0 && len(p.whole) > 0 && p.whole[len(p.whole)-1] == n.grouping},
		{"D3089", strings.Contains(string(p.all), string([]rune{n.grouping, n.grouping}))},
		{"D3090", optional >= 0 && n.count(p.whole[:optional], false) > 0},
		{"D3091", lastOptional >= 0 && n.count(p.fraction[lastOptional:], false) > 0},
		{"D3092", len(p.exponent) > 0 && (has(n.percent) || has(n.permille))},
		{"D3093", p.exponential && (len(p.exponent) == 0 || n.count(p.exponent, false) < len(p.exponent))},
	} {
		if rule.broken {
			code = rule.code
		}
	}
	return code
}

func (n *numberFormat) analyse(p *picture) {
	grouped := func(part []rune, left bool) (positions []int) {
		for at := slices.Index(part, n.grouping); at >= 0; {
			beside := part[min(at, len(part)):]
			if left {
				beside = part[:min(at, len(part))]
			}
			positions = append(positions, n.count(beside, true))
			next := -1
			if at+1 < len(p.whole) {
				next = slices.Index(p.whole[at+1:], n.grouping)
			}
			if next < 0 {
				break
			}
			at += 1 + next
		}
		return positions
	}
	p.groups, p.fractionGroups = grouped(p.whole, false), grouped(p.fraction, true)
	p.regular = interval(p.groups)
	p.leastWhole = n.count(p.whole, false)
	p.scale = p.leastWhole
	p.leastFraction, p.mostFraction = n.count(p.fraction, false), n.count(p.fraction, true)
	if p.leastWhole == 0 && p.mostFraction == 0 {
		if p.exponential {
			p.leastFraction, p.mostFraction = 1, 1
		} else {
			p.leastWhole = 1
		}
	}
	if p.exponential && p.leastWhole == 0 && slices.Contains(p.whole, n.digit) {
		p.leastWhole = 1
	}
	if p.leastWhole == 0 && p.leastFraction == 0 {
		p.leastFraction = 1
	}
	p.leastExponentSize = n.count(p.exponent, false)
}

// interval is that of the grouping positions, 0 when it is not the same between all.
func interval(positions []int) int {
	if len(positions) == 0 {
		return 0
	}
	factor := positions[0]
	for _, b := range positions[1:] {
		for b != 0 {
			factor, b = b, factor%b
		}
	}
	for i := range positions {
		if !slices.Contains(positions, (i+1)*factor) {
			return 0
		}
	}
	return factor
}

func formatNumber(args []any) (any, error) {
	x, _ := asNumber(args[0])
	text, is := argument(args, 1).(string)
	if !is {
		return nil, Unsupported("$formatNumber without a picture")
	}
	if len(text) > 1000 { // its groups are looked through for each of them
		return nil, Unsupported("a picture of such a length")
	}
	n := &numberFormat{'.', ',', 'e', '-', '%', '‰', '0', '#', ';'}
	if err := n.options(argument(args, 2)); err != nil {
		return nil, err
	}
	if strings.ContainsFunc(text, func(r rune) bool { return r > 0xffff }) {
		return nil, Unsupported("the picture " + text)
	}
	parts := strings.Split(text, string(n.pattern))
	if len(parts) > 2 {
		return nil, &Error{Code: "D3080"}
	}
	var pictures []*picture
	for _, part := range parts {
		p := n.picture(part)
		pictures = append(pictures, p)
		if len(p.all) == 0 {
			return nil, Unsupported("an empty picture")
		}
	}
	for _, p := range pictures {
		if code := n.broken(p); code != "" {
			return nil, &Error{Code: code, unsure: slices.Contains(p.active, n.exponent) && n.count(p.active, true) == 0}
		}
		n.analyse(p)
	}
	p, sign := pictures[0], ""
	switch {
	case x >= 0:
	case len(pictures) == 2:
		p = pictures[1]
	default:
		sign = string(n.minus)
	}
	switch {
	case slices.Contains(p.all, n.percent):
		x *= 100
	case slices.Contains(p.all, n.permille):
		x *= 1000
	}
	exponent := 0
	if p.leastExponentSize > 0 {
		if x <= 0 {
			return nil, Unsupported("$formatNumber of such a number with an exponent") // the reference never ends
		}
		most, least := math.Pow(10, float64(p.scale)), math.Pow(10, float64(p.scale-1))
		for ; x < least; exponent-- {
			x *= 10
		}
		for ; x > most; exponent++ {
			x /= 10
		}
	}
	x = math.Abs(round(x, p.mostFraction))
	if !(x < 1e21) || p.mostFraction > 100 {
		return nil, Unsupported("$formatNumber of such a number")
	}
	written := n.digits(p, x)
	if p.leastExponentSize > 0 {
		size := n.local(strconv.Itoa(max(exponent, -exponent)))
		written = append(written, n.exponent)
		if exponent < 0 {
			written = append(written, n.minus)
		}
		for range p.leastExponentSize - len(size) {
			written = append(written, n.zero)
		}
		written = append(written, size...)
	}
	return sign + string(p.prefix) + string(written) + string(p.suffix), nil
}

// local are digits in the family of the zero.
func (n *numberFormat) local(digits string) []rune {
	out := []rune(digits)
	for i, c := range out {
		if c >= '0' && c <= '9' {
			out[i] = n.zero + c - '0'
		}
	}
	return out
}

// digits writes a number, with its groups.
func (n *numberFormat) digits(p *picture, x float64) []rune {
	whole, fraction, _ := strings.Cut(strconv.FormatFloat(x, 'f', p.mostFraction, 64), ".")
	whole, fraction = strings.TrimLeft(whole, "0"), strings.TrimRight(fraction, "0")
	whole = strings.Repeat("0", max(0, p.leastWhole-len(whole))) + whole
	fraction += strings.Repeat("0", max(0, p.leastFraction-len(fraction)))
	out := append(append(n.local(whole), n.point), n.local(fraction)...)
	insert := func(at int) {
		if at < 0 { // from the end, as slice in JavaScript
			at = max(0, len(out)+at)
		}
		out = slices.Insert(out, min(at, len(out)), n.grouping)
	}
	point := len([]rune(whole))
	if p.regular > 0 {
		for group := 1; group <= (point-1)/p.regular && point > 0; group++ {
			insert(point - group*p.regular)
		}
	} else {
		for _, position := range p.groups {
			insert(point - position)
			point++
		}
	}
	point = slices.Index(out, n.point)
	for _, position := range p.fractionGroups {
		insert(position + point + 1)
	}
	point = slices.Index(out, n.point)
	if !slices.Contains(p.all, n.point) || point == len(out)-1 {
		out = out[:len(out)-1]
	}
	return out
}
