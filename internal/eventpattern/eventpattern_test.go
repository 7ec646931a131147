package eventpattern_test

import (
	"strings"
	"testing"

	"cordon/internal/eventpattern"
)

const finding = `{"source": ["aws.guardduty"], "detail-type": ["GuardDuty Finding"],
	"detail": {"severity": [{"numeric": [">=", 7]}], "resource": {"resourceType": ["Instance"]}}}`

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		name, pattern, event string
		want                 bool
	}{
		{"a finding", finding, `{"source":"aws.guardduty","detail-type":"GuardDuty Finding","detail":{"severity":8,"resource":{"resourceType":"Instance","more":1}}}`, true},
		{"just severe enough", finding, `{"source":"aws.guardduty","detail-type":"GuardDuty Finding","detail":{"severity":7.0,"resource":{"resourceType":"Instance"}}}`, true},
		{"not severe enough", finding, `{"source":"aws.guardduty","detail-type":"GuardDuty Finding","detail":{"severity":6.9,"resource":{"resourceType":"Instance"}}}`, false},
		{"severity as a string", finding, `{"source":"aws.guardduty","detail-type":"GuardDuty Finding","detail":{"severity":"8","resource":{"resourceType":"Instance"}}}`, false},
		{"PascalCase, as pasted from GetFindings", finding, `{"source":"aws.guardduty","detail-type":"GuardDuty Finding","detail":{"Severity":8,"Resource":{"ResourceType":"Instance"}}}`, false},
		{"another resource type", finding, `{"source":"aws.guardduty","detail-type":"GuardDuty Finding","detail":{"severity":8,"resource":{"resourceType":"AccessKey","instanceDetails":{}}}}`, false},
		{"another detail-type", finding, `{"source":"aws.guardduty","detail-type":"AWS API Call via CloudTrail","detail":{"severity":8,"resource":{"resourceType":"Instance"}}}`, false},
		{"detail is null", finding, `{"source":"aws.guardduty","detail-type":"GuardDuty Finding","detail":null}`, false},

		{"string", `{"a":["x","y"]}`, `{"a":"y"}`, true},
		{"string, case", `{"a":["x"]}`, `{"a":"X"}`, false},
		{"key, case", `{"a":["x"]}`, `{"A":"x"}`, false},
		{"number in another spelling", `{"a":[8]}`, `{"a":8.0}`, true},
		{"number with an exponent", `{"a":[3.018e2]}`, `{"a":301.8}`, true},
		{"number is no string", `{"a":[8]}`, `{"a":"8"}`, false},
		{"string is no number", `{"a":["8"]}`, `{"a":8}`, false},
		{"beyond the numeric range, same text", `{"a":[123456789012]}`, `{"a":123456789012}`, true},
		{"beyond the numeric range, other text", `{"a":[123456789012]}`, `{"a":123456789012.0}`, false},
		{"boolean", `{"a":[true]}`, `{"a":true}`, true},
		{"boolean is no string", `{"a":[true]}`, `{"a":"true"}`, false},
		{"null", `{"a":[null]}`, `{"a":null}`, true},
		{"null is not absence", `{"a":[null]}`, `{}`, false},
		{"null is no empty string", `{"a":[""]}`, `{"a":null}`, false},
		{"value where an object is asked for", `{"a":{"b":["x"]}}`, `{"a":"x"}`, false},
		{"object where a value is asked for", `{"a":["x"]}`, `{"a":{"b":"x"}}`, false},
		{"duplicate key, last counts", `{"a":["x"]}`, `{"a":"y","a":"x"}`, true},
		{"duplicate key, first does not", `{"a":["x"]}`, `{"a":"x","a":"y"}`, false},

		{"any element of an array", `{"a":["x"]}`, `{"a":["y","x"]}`, true},
		{"an array within an array", `{"a":["x"]}`, `{"a":[["y"],["x"]]}`, true},
		{"empty array", `{"a":["x"]}`, `{"a":[]}`, false},
		{"object in an array", `{"a":{"b":["x"]}}`, `{"a":[{"b":"y"},{"b":"x"}]}`, true},
		{"two fields of one element", `{"a":{"b":["x"],"c":["y"]}}`, `{"a":[{"b":"x","c":"z"},{"b":"x","c":"y"}]}`, true},
		{"two fields of different elements", `{"a":{"b":["x"],"c":["y"]}}`, `{"a":[{"b":"x","c":"z"},{"b":"w","c":"y"}]}`, false},
		{"fields of different arrays", `{"a":{"b":["x"]},"d":{"c":["y"]}}`, `{"a":[{"b":"x"}],"d":[{"c":"z"},{"c":"y"}]}`, true},

		{"prefix", `{"a":[{"prefix":"us-"}]}`, `{"a":"us-east-1"}`, true},
		{"prefix of a number", `{"a":[{"prefix":"1"}]}`, `{"a":12}`, false},
		{"prefix, any case", `{"a":[{"prefix":{"equals-ignore-case":"US-"}}]}`, `{"a":"us-east-1"}`, true},
		{"suffix", `{"a":[{"suffix":".png"}]}`, `{"a":"x.png"}`, true},
		{"suffix, not", `{"a":[{"suffix":".png"}]}`, `{"a":"x.png.txt"}`, false},
		{"equals-ignore-case", `{"a":[{"equals-ignore-case":"Alice"}]}`, `{"a":"aLICE"}`, true},
		{"equals-ignore-case is whole", `{"a":[{"equals-ignore-case":"Alice"}]}`, `{"a":"alice2"}`, false},
		{"wildcard", `{"a":[{"wildcard":"dir/*.png"}]}`, `{"a":"dir/sub/x.png"}`, true},
		{"wildcard needs both ends", `{"a":[{"wildcard":"ab*ba"}]}`, `{"a":"aba"}`, false},
		{"wildcard, several", `{"a":[{"wildcard":"*a*b*c"}]}`, `{"a":"xaxbxcxc"}`, true},
		{"wildcard, order", `{"a":[{"wildcard":"*a*b*"}]}`, `{"a":"ba"}`, false},
		{"wildcard, literal asterisk", `{"a":[{"wildcard":"x\\*y"}]}`, `{"a":"x*y"}`, true},
		{"wildcard, asterisk is literal only", `{"a":[{"wildcard":"x\\*y"}]}`, `{"a":"xzy"}`, false},

		{"numeric =", `{"a":[{"numeric":["=",8]}]}`, `{"a":8.00}`, true},
		{"numeric <", `{"a":[{"numeric":["<",8]}]}`, `{"a":8}`, false},
		{"numeric >", `{"a":[{"numeric":[">",8]}]}`, `{"a":8.000001}`, true},
		{"numeric range, inside", `{"a":[{"numeric":[">",0,"<=",5]}]}`, `{"a":5}`, true},
		{"numeric range, at the open end", `{"a":[{"numeric":[">",0,"<=",5]}]}`, `{"a":0}`, false},
		{"numeric, string", `{"a":[{"numeric":["<",8]}]}`, `{"a":"7"}`, false},
		{"numeric, null", `{"a":[{"numeric":["<",8]}]}`, `{"a":null}`, false},
		{"numeric, beyond the range", `{"a":[{"numeric":[">",8]}]}`, `{"a":1e300}`, false},
		{"numeric, element of an array", `{"a":[{"numeric":[">=",7]}]}`, `{"a":[1,9]}`, true},

		{"anything-but", `{"a":[{"anything-but":"x"}]}`, `{"a":"y"}`, true},
		{"anything-but, it", `{"a":[{"anything-but":"x"}]}`, `{"a":"x"}`, false},
		{"anything-but needs the field", `{"a":[{"anything-but":"x"}]}`, `{}`, false},
		{"anything-but a string, a number", `{"a":[{"anything-but":"8"}]}`, `{"a":8}`, true},
		{"anything-but a number, in another spelling", `{"a":[{"anything-but":8}]}`, `{"a":8.0}`, false},
		{"anything-but a list", `{"a":[{"anything-but":["x","y"]}]}`, `{"a":"y"}`, false},
		{"anything-but, null is something", `{"a":[{"anything-but":["x"]}]}`, `{"a":null}`, true},
		{"anything-but, one other element is enough", `{"a":[{"anything-but":"x"}]}`, `{"a":["x","y"]}`, true},
		{"anything-but, empty array", `{"a":[{"anything-but":"x"}]}`, `{"a":[]}`, false},
		{"anything-but a prefix", `{"a":[{"anything-but":{"prefix":"init"}}]}`, `{"a":"initializing"}`, false},
		{"anything-but prefixes", `{"a":[{"anything-but":{"prefix":["a","b"]}}]}`, `{"a":"c"}`, true},
		{"anything-but a suffix", `{"a":[{"anything-but":{"suffix":".png"}}]}`, `{"a":"x.png"}`, false},
		{"anything-but, any case", `{"a":[{"anything-but":{"equals-ignore-case":["X"]}}]}`, `{"a":"x"}`, false},
		{"anything-but a wildcard", `{"a":[{"anything-but":{"wildcard":"*/lib/*"}}]}`, `{"a":"/usr/lib/x"}`, false},

		{"exists", `{"a":[{"exists":true}]}`, `{"a":0}`, true},
		{"exists, null", `{"a":[{"exists":true}]}`, `{"a":null}`, true},
		{"exists, absent", `{"a":[{"exists":true}]}`, `{"b":0}`, false},
		{"exists works on leaves only", `{"a":[{"exists":true}]}`, `{"a":{"b":1}}`, false},
		{"exists false, present", `{"a":[{"exists":false}]}`, `{"a":0}`, false},
		{"exists false, null", `{"a":[{"exists":false}]}`, `{"a":null}`, false},
		{"exists false, absent", `{"a":[{"exists":false}]}`, `{"b":0}`, true},
		{"exists false, missing parent", `{"a":{"b":[{"exists":false}]}}`, `{"c":0}`, true},
		{"exists false, parent is no object", `{"a":{"b":[{"exists":false}]}}`, `{"a":1}`, true},
		{"exists false, not a leaf", `{"a":[{"exists":false}]}`, `{"a":{"b":1}}`, true},
		{"exists false, empty array", `{"a":[{"exists":false}]}`, `{"a":[]}`, true},
		{"exists false or a value", `{"a":["x",{"exists":false}]}`, `{"a":"x"}`, true},
		{"exists false or a value, another", `{"a":["x",{"exists":false}]}`, `{"a":"y"}`, false},
		{"exists false and another field", `{"a":[{"exists":false}],"b":["x"]}`, `{"b":"y"}`, false},

		{"$or, second", `{"s":["x"],"$or":[{"a":["1"]},{"b":["2"],"c":["3"]}]}`, `{"s":"x","b":"2","c":"3"}`, true},
		{"$or, half of the second", `{"s":["x"],"$or":[{"a":["1"]},{"b":["2"],"c":["3"]}]}`, `{"s":"x","b":"2"}`, false},
		{"$or and what is outside", `{"$or":[{"a":["1"]},{"b":["2"]}],"s":["x"]}`, `{"s":"y","a":"1"}`, false},
		{"$or, parallel", `{"$or":[{"a":["1"]},{"b":["2"]}],"d":{"$or":[{"e":["3"]},{"f":["4"]}]}}`, `{"b":"2","d":{"e":"3"}}`, true},
		{"$or, nested", `{"$or":[{"a":["1"],"$or":[{"b":["2"]},{"c":["3"]}]},{"d":["4"]}]}`, `{"a":"1","c":"3"}`, true},
		{"$or, nested, half", `{"$or":[{"a":["1"],"$or":[{"b":["2"]},{"c":["3"]}]},{"d":["4"]}]}`, `{"a":"1"}`, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, err := eventpattern.Parse([]byte(c.pattern))
			if err != nil {
				t.Fatal(err)
			}
			// Twice: a match must leave nothing behind in the pattern.
			for range 2 {
				got, err := p.Match([]byte(c.event))
				if err != nil {
					t.Fatal(err)
				}
				if got != c.want {
					t.Errorf("pattern %s, event %s: match is %t, EventBridge says %t", c.pattern, c.event, got, c.want)
				}
			}
		})
	}
}

func TestRefusedPatterns(t *testing.T) {
	for _, c := range []struct{ name, pattern, want string }{
		{"not JSON", `{"a":`, "not JSON"},
		{"a comma too many", `{"a":["x",]}`, "not JSON"},
		{"two values", `{"a":["x"]} {}`, "not JSON"},
		{"no object", `["x"]`, "must be a JSON object"},
		{"empty", `{}`, "empty object"},
		{"empty object", `{"a":{}}`, "a: an empty object"},
		{"empty list", `{"a":{"b":[]}}`, "a.b: an empty list"},
		{"value without a list", `{"a":"x"}`, `write ["x"]`},
		{"list in a list", `{"a":[["x"]]}`, "list within a list"},
		{"key twice", `{"a":["x"],"a":["y"]}`, `"a" is there twice`},
		{"unknown operator", `{"a":[{"regex":"x"}]}`, `"regex" is unknown`},
		{"operator in another case", `{"a":[{"Prefix":"x"}]}`, `"Prefix" is unknown`},
		{"cidr", `{"a":[{"cidr":"10.0.0.0/8"}]}`, `"cidr" is not supported`},
		{"two operators in one", `{"a":[{"prefix":"x","suffix":"y"}]}`, "has 2 keys"},
		{"no operator", `{"a":[{}]}`, "has 0 keys"},
		{"a string in numeric", `{"detail":{"severity":[{"numeric":[">=","7"]}]}}`, `detail.severity: "numeric" compares with "7"`},
		{"numeric without a list", `{"a":[{"numeric":7}]}`, `"numeric" takes a list`},
		{"numeric without a number", `{"a":[{"numeric":[">="]}]}`, `"numeric" takes a list`},
		{"numeric, unknown operator", `{"a":[{"numeric":["==",7]}]}`, `unknown operator "=="`},
		{"numeric, number first", `{"a":[{"numeric":[7,">="]}]}`, "where an operator belongs"},
		{"numeric, upper end first", `{"a":[{"numeric":["<",5,">",0]}]}`, "lower end comes first"},
		{"numeric, equals in a range", `{"a":[{"numeric":["=",5,"<",6]}]}`, "lower end comes first"},
		{"numeric, nothing in the range", `{"a":[{"numeric":[">",5,"<",5]}]}`, "no number is in"},
		{"numeric, too large", `{"a":[{"numeric":["<",6e9]}]}`, "-5e9 to 5e9"},
		{"exists, a string", `{"a":[{"exists":"true"}]}`, `"exists" takes true or false`},
		{"prefix, a number", `{"a":[{"prefix":1}]}`, `"prefix" takes a string`},
		{"anything-but, mixed", `{"a":[{"anything-but":["x",1]}]}`, "not both"},
		{"anything-but, a boolean", `{"a":[{"anything-but":true}]}`, "takes strings or numbers"},
		{"anything-but, nothing", `{"a":[{"anything-but":[]}]}`, "no empty list"},
		{"anything-but, empty prefix", `{"a":[{"anything-but":{"prefix":""}}]}`, "no empty string"},
		{"anything-but numeric", `{"a":[{"anything-but":{"numeric":[">",1]}}]}`, `"anything-but" of "numeric" is unknown`},
		{"two asterisks", `{"a":[{"wildcard":"a**b"}]}`, "two asterisks"},
		{"wildcard, bad escape", `{"a":[{"wildcard":"a\\b"}]}`, "backslash"},
		{"$or of one", `{"$or":[{"a":["x"]}]}`, "two objects at least"},
		{"$or of an object", `{"$or":{"a":["x"]}}`, "two objects at least"},
		{"$or of values", `{"$or":["x","y"]}`, "objects only"},
		{"an operator as a field in $or", `{"$or":[{"numeric":["x"]},{"a":["y"]}]}`, `"numeric" is an operator`},
		{"a field twice through $or", `{"a":["x"],"$or":[{"a":["y"]},{"b":["z"]}]}`, "constrained twice"},
		{"too many combinations", `{` + manyOrs + `}`, "more than 1000"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := eventpattern.Parse([]byte(c.pattern))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("pattern %s: error is %v, should say %q", c.pattern, err, c.want)
			}
		})
	}
}

// manyOrs is three choices of eleven: 1331 combinations.
var manyOrs = func() string {
	var all []string
	for _, field := range []string{"a", "b", "c"} {
		var alternatives []string
		for n := range 11 {
			alternatives = append(alternatives, `{"`+strings.Repeat("x", n+1)+`":["y"]}`)
		}
		all = append(all, `"`+field+`":{"$or":[`+strings.Join(alternatives, ",")+`]}`)
	}
	return strings.Join(all, ",")
}()

func TestRefusedEvents(t *testing.T) {
	p, err := eventpattern.Parse([]byte(finding))
	if err != nil {
		t.Fatal(err)
	}
	for _, event := range []string{``, `{`, `[]`, `"x"`, `null`, `{"a":1}{"b":2}`, strings.Repeat(`{"a":`, 100000)} {
		if _, err := p.Match([]byte(event)); err == nil {
			t.Errorf("event %.20q: no error, an unreadable event would pass for one that does not match", event)
		}
	}
}
