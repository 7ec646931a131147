package jsonata_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cordon/internal/jsonata"
)

const steps = 1_000_000

var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

// evaluate evaluates with an input as $states.input; the result is JSON, empty for undefined.
func evaluate(source, input string, added map[string]jsonata.Function) (string, error) {
	x, err := jsonata.Compile(source)
	if err != nil {
		return "", err
	}
	data, err := jsonata.Decode(json.RawMessage(input))
	if err != nil {
		return "", err
	}
	states := jsonata.NewObject([]string{"input"}, data)
	r := jsonata.NewRuntime(func() time.Time { return noon }, added)
	v, _, err := r.Eval(x, steps, func(name string) (any, bool) { return states, name == "states" })
	if v == nil || err != nil {
		return "", err
	}
	b, err := jsonata.Encode(nil, v)
	return string(b), err
}

// testdata/reference.mjs is what made the file, with npm's jsonata@2.0.6, which is
// the version that Step Functions documents.
// https://docs.aws.amazon.com/step-functions/latest/dg/transforming-data.html
func TestAnswersAsTheReferenceDoes(t *testing.T) {
	file, err := os.Open("testdata/reference.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	input := `{"n":5,"f":1.5,"neg":-3,"zero":0,"t":"Hello World","e":"","b":true,"nul":null,"one":[7],"none":[],"l":[3,1,2],"m":[1,"a",null,true],
		"nested":[[1,2],[3]],"o":{"k":"v","x":{"y":1}},"unicode":"héllo ✓ 😀","empty":{},
		"items":[{"id":"a","price":10,"qty":2,"tags":["x","y"]},{"id":"b","price":5.5,"qty":1,"tags":["x"]},{"id":"c","price":20,"qty":0,"tags":[]}],
		"single":[{"id":"a","price":10,"tags":["x"]}]}`
	refused, compared := 0, 0
	for lines := bufio.NewScanner(file); lines.Scan(); {
		var want struct {
			X, E string
			V    json.RawMessage
		}
		if err := json.Unmarshal(lines.Bytes(), &want); err != nil {
			t.Fatal(err)
		}
		got, err := evaluate(want.X, input, nil)
		var known *jsonata.Error
		switch {
		case jsonata.Beyond(err), errors.As(err, &known) && !known.Known(), want.E == "?" && err != nil:
			refused++
			continue
		case err != nil:
			got = err.Error()
		}
		compared++
		if want.E != "" {
			if got != want.E {
				t.Errorf("%s\n got %s\nwant %s", want.X, got, want.E)
			}
			continue
		}
		if diff := cmp.Diff(plain(string(want.V)), plain(got)); diff != "" {
			t.Errorf("%s: %s", want.X, diff)
		}
	}
	if compared < 3500 || refused > 10 {
		t.Errorf("%d compared and %d refused: what is refused has grown", compared, refused)
	}
}

func plain(text string) (v any) {
	if json.Unmarshal([]byte(text), &v) != nil {
		return text
	}
	return v
}

func TestEvaluates(t *testing.T) {
	for source, want := range map[string]string{
		`[1.0, 10/2, 0.1+0.2, 1e20, 1e21, 1e-7, 0.000001, -0, 123456789012345678]`: `[1,5,0.30000000000000004,100000000000000000000,1e+21,1e-7,0.000001,0,123456789012345680]`,

		`'<&>" \n é 😀 \u00e9\ud83d\ude00'`: `"<&>\" \n é 😀 é😀"`,

		`{'a': $states.input.nope, 'b': null}`:                                                                        `{"b":null}`,
		`$string(0.1+0.2) & $string([0.1+0.2])`:                                                                       `"0.3[0.3]"`,
		`$string({'a': [], 'b': {}, 'c': [1, {'d': 'x,y:{'}]}, true)`:                                                 `"{\n  \"a\": [],\n  \"b\": {},\n  \"c\": [\n    1,\n    {\n      \"d\": \"x,y:{\"\n    }\n  ]\n}"`,
		`$now() & $now('[H01]:[m01]') & $string($millis())`:                                                           `"2026-01-01T12:00:00.000Z12:001767268800000"`,
		`[$toMillis('2024-02'), $toMillis('2024-02-01T01:00:00.0019+01:00'), $toMillis('1969-12-31T23:59:59.9995Z')]`: `[1706745600000,1706745600001,-1]`,
		`[$trim(' a \n\t b '), $trim('\u3000a'), $substring('a😀bc', -3, 2), $substring('abc', $states.input.nope), $pad('a', -4, '😀-'), $pad('a', $states.input.nope)]`: "[\"a b\",\"\u3000a\",\"😀b\",\"abc\",\"😀-😀a\",\"a\"]",
		`$contains('a*', /^[^*]\*$/) and $contains('$$', /^\$+$/) and $contains('a', /[^$+]/)`:                                                                          `true`,
		`[$split('a\r\nb', /\r?\n/), $contains('Straße', /^STRA/i)]`:                                                                                                    `["a","b",true]`,
		`[$round(1/0), $round(1/0, 2)]`:                                                      `["Infinity","NaN"]`,
		`$match('xaby', /a(b)/)`:                                                             `{"match":"ab","index":1,"groups":["b"]}`,
		`$replace('abc', /b/, function($m){$uppercase($m.match)})`:                           `"aBc"`,
		`($g := $join(?, '+'); $g(['a', 'b']))`:                                              `"a+b"`,
		`$string(/* a comment */ 1)`:                                                         `"1"`,
		`($f := function($n, $sum){$n = 0 ? $sum : $f($n - 1, $sum + $n)}; $f(9000, 0))`:     `40504500`, // a call in the place of a tail does not nest
		`$states.input ~> |$|{'b': 2}, ['a', 'l', 'o']|`:                                     `{"big":9007199254740993,"b":2}`,
		`$states.input.a.(1 ~> $string)`:                                                     `"1"`,
		`$keys({'1': 1, '2': 1, 'b': 1, '01': 1}) ~> $join(' ')`:                             `"1 2 b 01"`,
		`{'b': 1, '2': 1}`:                                                                   `{"b":1,"2":1}`,
		`[$round(2.5), $round(-3.5), $round(1.005, 2), $round(1234.5, -2), $round(0.1, 20)]`: `[2,-4,1,1200,0.1]`,
		`[$power(1.1, 2), $power(1.05, 12), $power(2, 10)]`:                                  `[1.2100000000000002,1.79585632602213,1024]`,
		`[$toMillis('05/3/2024', '[D01]/[M]/[Y0001]'), $toMillis('2024', '[Y]'), $toMillis('2024-3', '[Y]-[M]'), $toMillis('2024-03-05T10:20:30.123', '[Y0001]-[M01]-[D01]T[H01]:[m01]:[s01].[f001]')]`: `[1709596800000,1704067200000,1709251200000,1709634030123]`,
		`[$formatBase(255, 16), $formatBase(-2.5, 2)]`: `["ff","-10"]`,
		`[$formatNumber(7, '#.##'), $formatNumber(12345.6, '0.00e00'), $formatNumber(0.0005, '0.0%'), $formatNumber(-5, '0;(0)'), $formatNumber(1234.5, '#.##0,00', {'decimal-separator': ',', 'grouping-separator': '.'})]`: `["7.0","1.23e04","0.0%","(5)","1.234,50"]`,
		`$states.input.l#$i[$ > 1].{'i': $i, 'v': $}`:                            `[{"i":0,"v":3},{"i":2,"v":2}]`,
		`$states.input.l[$ > 1]#$i.[$i, $]`:                                      `[0,3,1,2]`,
		`$states.input.o@$a.o@$b[$a.k < $b.k].{'a': $a.id, 'b': $b.id}`:          `{"a":"a","b":"b"}`,
		`$states.input.o#$i.t#$j.{'i': $i, 'j': $j, 't': $}^(>t).i`:              `[1,1,0,0]`,
		`$states.input.o#$i{id: $i}`:                                             `{"a":0,"b":1}`,
		`$count($states.input.o@$a.o@$b.t)`:                                      `0`,
		`($f := function($n, $s)<ns?:s>{$string($n) & $s}; [$f(1), $f(2, 'x')])`: `["1","2x"]`,
		`$states.input.o.id.($f := function($s)<s-:s>{$s & '!'}; $f())`:          `["a!","b!"]`,
		`$states.input.o.t[$ > %.k].{'id': %.id, 't': $}`:                        `{"id":"a","t":2}`,
		`$states.input.o.t[%.k = 4].{'of': %.id, 'all': %.%.a}`:                  `[{"of":"b","all":1},{"of":"b","all":1}]`,
		`$states.input.((o.t)[%.id = 'b'].{'v': $}).v`:                           `[3,4]`,
		`$states.input.(o.t).{'id': %.id}.id`:                                    `["a","a","b","b"]`,
		`[1, 2]#$i.{'i': $i}`:                                                    `[{},{}]`, // sic: the array is not gone through
		// JSON has no number for these: https://github.com/floci-io/floci/issues/2737
		`[1/0, -1/0, 0/0]`:               `["Infinity","-Infinity","NaN"]`,
		`$states.input.big`:              `9007199254740993`,   // keeps its digits: https://github.com/floci-io/floci/pull/2676
		`$string(1732780800123456)`:      `"1732780800123456"`, // a time in microseconds
		`$string(999999999999999868928)`: `"999999999999999900000"`,
		`$string(9223372036854775808)`:   `"9223372036854776000"`,
		`$states.input.big = 9`:          `false`,
		`$states.input.big > 9`:          `true`,
		`$states.input.big & ''`:         `"9007199254740993"`,
	} {
		if got, err := evaluate(source, `{"a": 1, "l": [3, 1, 2], "o": [{"id": "a", "k": 1, "t": [1, 2]}, {"id": "b", "k": 4, "t": [3, 4]}], "big": 9007199254740993}`, nil); got != want || err != nil {
			t.Errorf("%s\n got %s, %v\nwant %s", source, got, err, want)
		}
	}
}

// What fails, in the words of the reference, or of AWS where they are AWS's own.
func TestFails(t *testing.T) {
	for source, want := range map[string]string{
		`1 +`:                               "S0207: Unexpected end of expression",
		`a[1,2)`:                            `S0202: Expected "]", got ","`,
		`"unterminated`:                     "S0101: String literal must be terminated by a matching quote",
		`{"a":}`:                            `S0211: The symbol "}" cannot be used as a unary operator`,
		`$match("a", /abc`:                  "S0302: No terminating / in regular expression",
		`f(1,)`:                             `S0211: The symbol ")" cannot be used as a unary operator`,
		`$x.7`:                              "S0213: The literal value 7 cannot be used as a step within a path expression",
		`$nothing(1)`:                       "T1006: Attempted to invoke a non-function",
		`1 < 'a'`:                           `T2009: The values 1 and "a" either side of operator "<" must be of the same data type`,
		`$number('x')`:                      `D3030: Unable to cast value to a number: "x"`,
		`$error('bad')`:                     "D3137: bad",
		`true and $lookup({}, 1)`:           `T0410: Argument 2 of function "and" does not match function signature`, // sic
		`$split('a', 'b', -1)`:              "D3020: Third argument of split function must evaluate to a positive number",
		`$replace('a', '', 'b')`:            "D3010: Second argument of replace function cannot be an empty string",
		`$replace('a', 'a', 'b', -1)`:       "D3011: Fourth argument of replace function must evaluate to a positive number",
		`$match('a', /a/, -1)`:              "D3040: Third argument of match function must evaluate to a positive number",
		`$replace('a', /a/, function(){1})`: "D3012: Attempted to replace a matched string with a non-string value",
		`$power(-1, 0.5)`:                   "D3061: The power function has resulted in a value that cannot be represented as a JSON number: base=-1, exponent=0.5",
		`$formatBase(1, 99)`:                "D3100: The radix of the formatBase function must be between 2 and 36.  It was given 99",
		`$toMillis('nope')`:                 `D3110: The argument of the toMillis function must be an ISO 8601 formatted timestamp. Given "nope"`,
		`$fromMillis(0, '[Q]')`:             `D3132: Unknown component specifier "Q" in date/time picture string`,
		`$toMillis('2024-01-02 03', '[Y0001]-[M01]-[D01] [s01]')`: "D3136: The date/time picture string is missing specifiers required to parse the timestamp",
		`$formatNumber(1, '0.0.0')`:                               "D3081: The sub-picture must not contain more than one instance of the 'decimal-separator' character",
		// On AWS, and not in the reference: https://github.com/floci-io/floci/issues/2737
		`$formatNumber(1, 'x')`:                "D3086: The sub-picture must not contain a passive character that is preceded by an active character and that is followed by another active character",
		`($f := function(){$min(2, 3)}; $f())`: `T0410: Argument 2 of function "min" does not match function signature`,
		// https://github.com/floci-io/floci/pull/2699
		`phone`:                      "Reference to 'phone' at the top level is not supported.",
		`{"a": phone.x}`:             "Reference to 'phone' at the top level is not supported.",
		`$map([1], function($v){x})`: "Reference to 'x' at the top level is not supported.",
		`$$.a`:                       "Reference to '$$' at the top level is not supported.",
		`*`:                          "Reference to '*' at the top level is not supported.",
		// https://github.com/floci-io/floci/issues/2737
		"1" + strings.Repeat("+1", 100):                            "Stack overflow error: Check for non-terminating recursive function. Consider rewriting as tail-recursive",
		strings.Repeat("[", 100) + "1" + strings.Repeat("]", 100):  "Stack overflow error: Check for non-terminating recursive function. Consider rewriting as tail-recursive",
		`($f := function($x){$x <= 0 ? 0 : 1 + $f($x-1)}; $f(32))`: "Stack overflow error: Check for non-terminating recursive function. Consider rewriting as tail-recursive",
		`[1..873783]`: "Expression evaluation memory limit exceeded: Check for excessive memory usage",
	} {
		if got, err := evaluate(source, `{}`, nil); err == nil || err.Error() != want || jsonata.Beyond(err) {
			t.Errorf("%.60s\n got %s, %v\nwant %s", source, got, err, want)
		}
	}
}

// One less of each is well on AWS.
func TestLimitsAreAWSs(t *testing.T) {
	for source, want := range map[string]string{
		"1" + strings.Repeat("+1", 99):                             "100",
		strings.Repeat("(", 99) + "1" + strings.Repeat(")", 99):    "1",
		"1" + strings.Repeat("~>$string", 99):                      `"1"`,
		`($f := function($x){$x <= 0 ? 0 : 1 + $f($x-1)}; $f(31))`: "31",
		`$count([1..873782])`:                                      "873782",
	} {
		if got, err := evaluate(source, `{}`, nil); got != want || err != nil {
			t.Errorf("%.60s: %s, %v, want %s", source, got, err, want)
		}
	}
}

// What this package does not know it says so, at the latest when it comes to it.
func TestRefuses(t *testing.T) {
	for _, source := range []string{
		`$states.input.l#$i^($i)[$i = 1]`, `$states.input.l#$i^($i){'a': $i}`, `(function($x)<q:n>{$x})(1)`, `(function($x)<x+:n>{$x})(1)`, `($f := function($x, $y)<nn:n>{$x}; $g := $f(?, 1); $g(1))`, `$x ?? 1`, `$x ?: 1`,
		`$toMillis('13:45', '[H]:[m]')`, `$toMillis('13:45', '[H01]:[m01]')`, `$toMillis('2024-02-30', '[Y0001]-[M01]-[D01]')`, `$base64encode('é')`, `$uppercase('ß')`, `$lowercase('ΑΣ')`, `$decodeUrl('%')`, `$pad('a', 5.5)`, `$match('a', /(?=a)/)`, `$toMillis('2024-01-01T00:00:00+24:00')`, `$toMillis('2024-02-30')`, `$toMillis('2024-01-01T24:00:00Z')`, `$toMillis('2024T00:00:00Z')`, `$fromMillis(0, '[Q1]')`, `$fromMillis(0, '[fn]')`, `$fromMillis(0, '[Y,x]')`, `$fromMillis(0, '[H]', '-0530')`, `$fromMillis(-59011459200000, '[W]')`, `$toMillis('1', '[m]')`, `$toMillis('May', '[MNn,2-2]')`,
		`$fromMillis(1e15)`, `$formatInteger(1e12, 'I')`, `$formatBase(1e300, 2)`, `$match('a', function($s){{'match': $s, 'start': 0, 'end': 1, 'groups': [], 'next': function(){$match}}})`,
		// What gnata answers otherwise than the reference, or nobody compared.
		`$fromMillis(0, '[Y]', 'Z')`,
		`$formatNumber(0, '0.0e0')`, `$formatNumber(7, '')`, `$formatNumber(7, '0', {'zero-digit': '00'})`, `$parseInteger('b', 'A')`,
		`$string([1732780800123456])`, `$power(2, 0.3)`, `$power(7, -2)`, `$match('aab', /a*/)`, `$match('abc', /x*/, 1)`, `$match('b', /(a)?b/)`, `$split('😀', '')`, `$replace('😀', /./, '_')`,
		`$match('😀x', /x/)`, `$match('a\u00a0b', /\s/)`, `$contains('é', /É/i)`, `$contains('ſ', /s/i)`, `$contains('a\r', /a./)`, `$contains('a\r', /a$/m)`, `$match('p', /\p/)`, `$contains('a', /(?i)A/)`, `$contains('a', /\b+a/)`, `$contains('a', /^*a/)`, `$contains('a\\', /\\$+/)`, `$replace('abc', /x*/, function($m){1})`, `($g := $join(?, '+'); $g([1, 2]))`, `($g := $string(?); $g(1))`,
		// AWS keeps the digits of such a number, and nobody has measured how it reckons with it.
		`$states.input.big + 1`, `-$states.input.big`, `$states.input.big = 9007199254740992`, `$states.input.big <= 9007199254740992`, `9007199254740992 in [$states.input.big]`,
		`$sum([1, $states.input.big])`, `$abs($states.input.big)`, `[1, $states.input.big, 9007199254740992]^($)`, `$states.input.l[$states.input.big]`,
		// The reference evaluates what stands beside each other at once; of keys that are numbers, and of nothing in an array, AWS's ways are not known.
		`[$x := 1, $x]`, `{'a': $x := 1, 'b': $x}`, `$keys({'b': 1, '2': 1})`, `$string({'2': 1, '1': 1})`, `$each({'2': 1, '1': 1}, function($v, $k){$k})`, `$states.input.l.nope[true]`,
		`($f := function($n){$f($n + 1)}; $f(0))`, strings.Repeat("(", 5000) + "1", "1" + strings.Repeat("+1", 5000),
	} {
		if got, err := evaluate(source, `{"a": [1], "l": [[1], [2]], "big": 9007199254740993}`, nil); !jsonata.Beyond(err) {
			t.Errorf("%.60s: %s, %v", source, got, err)
		}
	}
}

// What certainly fails, of two errors with either.
func TestFailsInWordsThatAreNotKnown(t *testing.T) {
	for _, source := range []string{`$formatNumber(7, 'e')`, `$type(1/0)`, `1/0 ? 1 : 2`, `$not(-1/0)`, `$power(0/0, 2)`, `[1 + 'a', $number('x')]`, `{'a': 1 + 'a', 'b': $number('x')}`, `[1 + 'a', [$number('x')]]`} {
		_, err := evaluate(source, `{}`, nil)
		var known *jsonata.Error
		if !errors.As(err, &known) || known.Known() {
			t.Errorf("%s: %v", source, err)
		}
	}
	for _, source := range []string{`[1 + 'a', 1 + 'b']`, `[1 + 'a', $x]`, `[[1, 1 + 'a'], 2]`} {
		_, err := evaluate(source, `{}`, nil)
		var known *jsonata.Error
		if !errors.As(err, &known) || !known.Known() {
			t.Errorf("%s: %v", source, err)
		}
	}
}

// None of these needs much to be written, and each would go on or grow for ever. Memory
// is what such an evaluation may have at once, so that the machine lives on.
func TestEndsWhatIsOutOfMeasure(t *testing.T) {
	for _, source := range []string{
		`($f := function($a, $n){$n = 0 ? $a : $f($append($a, $a), $n - 1)}; $count($f([1..1000], 40)))`,
		`$count([1..10000].([1..10000]))`,
		`$count([1..100000][$ in [1..100000]])`,
		`$count($distinct([1..300000]))`,
		`$reduce([1..50], function($a, $x){[[$a], [$a]]})`,
		`$reduce([1..50], function($a, $x){[[$a], [$a]]}) = $reduce([1..50], function($a, $x){[[$a], [$a]]})`,
		`$boolean($reduce([0..50], function($a, $x){[[$a], [$a]]}))`,
		`$clone($reduce([1..50], function($a, $x){{'a': $a, 'b': $a}}))`,
		`$reduce([1..50], function($a, $x){{'a': $a, 'b': $a}}) ~> |$|{'z': 1}|`,
		`$reduce([1..50], function($a, $x){{'a': $a, 'b': $a}}).**`,
		`$reduce([1..50], function($a, $x){[[$a], [$a]]}).x`,
		`{'a': $reduce([1..50], function($a, $x){[[$a], [$a]]})}.*`,
		`$keys($reduce([1..50], function($a, $x){[[$a], [$a]]}))`,
		`$spread($reduce([1..50], function($a, $x){[[$a], [$a]]}))`,
		`$replace('a', /a/, function($m){$reduce([1..50], function($a, $x){[[$a], [$a]]})})`,
		`$formatNumber(1, $join($map([1..9000], function(){'0'}), ','))`,
		`$formatInteger(1, $pad('0', 1000000, ',0'))`,
		`$parseInteger($pad('1', 1000000, '2'), $pad('0', 1000000, ',0:'))`,
		`$fromMillis(1, '[Y' & $pad('0', 1000000, ',0:') & ']')`,
		`$toMillis($pad('1', 100000, '1'), $pad('[Y]', 30000, '[Y]'))`,
		`$match($pad('', 3000000, 'ab'), /a/)`,
		`$replace($pad('', 3000000, 'ab'), /a/, function(){'x'})`,
		`$map([1..3000], function(){$parseInteger($pad('M', 6000000, 'M'), 'I')})`,
		`$length($string($reduce([1..50], function($a, $x){{'a': $a, 'b': $a}})))`,
		`$replace($pad('', 10000, 'a'), 'a', $pad('', 10000, 'b'))`,
	} {
		got, err := evaluate(source, `{}`, nil)
		if !jsonata.Beyond(err) {
			t.Errorf("%s: %.60s, %v", source, got, err)
		}
	}
}

func TestTellsWhatItReads(t *testing.T) {
	x, err := jsonata.Compile(`($local := 1; $map($states.input.l[a = $far], function($v){$v + $local + $sum($z)}) & $states.context.State.Name & '$no' & /* $no */ $custom(1))`)
	if err != nil {
		t.Fatal(err)
	}
	got := []string{strings.Join(x.Variables, " "), strings.Join(x.States, " "), strings.Join(x.Functions, " ")}
	if diff := cmp.Diff([]string{"far z", "context input", "custom map sum"}, got); diff != "" {
		t.Error(diff)
	}
}
