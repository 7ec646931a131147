package sim

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"
)

// item is one DynamoDB item: attribute values by name.
type item = map[string]types.AttributeValue

// invalid is DynamoDB's refusal of a request that makes no sense.
func invalid(format string, args ...any) error {
	return &smithy.GenericAPIError{Code: "ValidationException", Message: fmt.Sprintf(format, args...), Fault: smithy.FaultClient}
}

// kind is the type descriptor of a value: S, N, B, BOOL, NULL, M, L, SS, NS, BS;
// empty for none.
func kind(v types.AttributeValue) string {
	switch v.(type) {
	case *types.AttributeValueMemberS:
		return "S"
	case *types.AttributeValueMemberN:
		return "N"
	case *types.AttributeValueMemberB:
		return "B"
	case *types.AttributeValueMemberBOOL:
		return "BOOL"
	case *types.AttributeValueMemberNULL:
		return "NULL"
	case *types.AttributeValueMemberM:
		return "M"
	case *types.AttributeValueMemberL:
		return "L"
	case *types.AttributeValueMemberSS:
		return "SS"
	case *types.AttributeValueMemberNS:
		return "NS"
	case *types.AttributeValueMemberBS:
		return "BS"
	}
	return ""
}

// normal is a copy of v as DynamoDB would store it, or its reason to refuse it.
// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/HowItWorks.NamingRulesDataTypes.html
func normal(v types.AttributeValue) (types.AttributeValue, error) {
	switch v := v.(type) {
	case *types.AttributeValueMemberS:
		if !utf8.ValidString(v.Value) {
			return nil, invalid("One or more parameter values were invalid: a string is not valid UTF-8")
		}
		return &types.AttributeValueMemberS{Value: v.Value}, nil
	case *types.AttributeValueMemberN:
		n, err := parseNumber(v.Value)
		if err != nil {
			return nil, err
		}
		return &types.AttributeValueMemberN{Value: n.String()}, nil
	case *types.AttributeValueMemberB:
		return &types.AttributeValueMemberB{Value: append([]byte{}, v.Value...)}, nil
	case *types.AttributeValueMemberBOOL:
		return &types.AttributeValueMemberBOOL{Value: v.Value}, nil
	case *types.AttributeValueMemberNULL:
		if !v.Value {
			return nil, invalid("One or more parameter values were invalid: Null attribute value types must have the value of true")
		}
		return &types.AttributeValueMemberNULL{Value: true}, nil
	case *types.AttributeValueMemberM:
		m, err := normalItem(v.Value)
		if err != nil {
			return nil, err
		}
		return &types.AttributeValueMemberM{Value: m}, nil
	case *types.AttributeValueMemberL:
		l := make([]types.AttributeValue, len(v.Value))
		for n, e := range v.Value {
			var err error
			if l[n], err = normal(e); err != nil {
				return nil, err
			}
		}
		return &types.AttributeValueMemberL{Value: l}, nil
	case *types.AttributeValueMemberSS:
		s, err := normalSet(v.Value)
		return &types.AttributeValueMemberSS{Value: s}, err
	case *types.AttributeValueMemberNS:
		all := make([]string, len(v.Value))
		for i, s := range v.Value {
			n, err := parseNumber(s)
			if err != nil {
				return nil, err
			}
			all[i] = n.String()
		}
		s, err := normalSet(all)
		return &types.AttributeValueMemberNS{Value: s}, err
	case *types.AttributeValueMemberBS:
		all := make([]string, len(v.Value))
		for i, b := range v.Value {
			all[i] = string(b)
		}
		s, err := normalSet(all)
		out := make([][]byte, len(s))
		for i := range s {
			out[i] = []byte(s[i])
		}
		return &types.AttributeValueMemberBS{Value: out}, err
	}
	return nil, invalid("Supplied AttributeValue is empty, must contain exactly one of the supported datatypes")
}

// normalSet is the set in a fixed order: a set has none of its own.
func normalSet(set []string) ([]string, error) {
	if len(set) == 0 {
		return nil, invalid("One or more parameter values were invalid: An AttributeValue may not contain an empty set.")
	}
	s := slices.Sorted(slices.Values(set))
	if len(slices.Compact(slices.Clone(s))) != len(s) {
		return nil, invalid("One or more parameter values were invalid: Input collection [%s] contains duplicates.", strings.Join(set, ", "))
	}
	return s, nil
}

func normalItem(i item) (item, error) {
	out := make(item, len(i))
	for _, name := range slices.Sorted(maps.Keys(i)) {
		if name == "" {
			return nil, invalid("One or more parameter values were invalid: attribute names must not be empty")
		}
		v, err := normal(i[name])
		if err != nil {
			return nil, err
		}
		out[name] = v
	}
	return out, nil
}

// copyItem is a deep copy of a stored item, so that no caller holds the table's own.
// It was made normal when it was stored.
func copyItem(i item) item {
	if i == nil {
		return nil
	}
	out := make(item, len(i))
	for name, v := range i {
		out[name] = copyValue(v)
	}
	return out
}

func copyValue(v types.AttributeValue) types.AttributeValue {
	switch v := v.(type) {
	case *types.AttributeValueMemberS:
		return &types.AttributeValueMemberS{Value: v.Value}
	case *types.AttributeValueMemberN:
		return &types.AttributeValueMemberN{Value: v.Value}
	case *types.AttributeValueMemberB:
		return &types.AttributeValueMemberB{Value: bytes.Clone(v.Value)}
	case *types.AttributeValueMemberBOOL:
		return &types.AttributeValueMemberBOOL{Value: v.Value}
	case *types.AttributeValueMemberNULL:
		return &types.AttributeValueMemberNULL{Value: v.Value}
	case *types.AttributeValueMemberM:
		return &types.AttributeValueMemberM{Value: copyItem(v.Value)}
	case *types.AttributeValueMemberL:
		l := make([]types.AttributeValue, len(v.Value))
		for n, e := range v.Value {
			l[n] = copyValue(e)
		}
		return &types.AttributeValueMemberL{Value: l}
	case *types.AttributeValueMemberSS:
		return &types.AttributeValueMemberSS{Value: slices.Clone(v.Value)}
	case *types.AttributeValueMemberNS:
		return &types.AttributeValueMemberNS{Value: slices.Clone(v.Value)}
	case *types.AttributeValueMemberBS:
		all := make([][]byte, len(v.Value))
		for n, b := range v.Value {
			all[n] = bytes.Clone(b)
		}
		return &types.AttributeValueMemberBS{Value: all}
	}
	panic(fmt.Sprintf("sim: a stored value is a %T", v))
}

// itemSize is in bytes.
// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html
func itemSize(i item) int {
	n := 0
	for name, v := range i {
		n += len(name) + valueSize(v)
	}
	return n
}

func valueSize(v types.AttributeValue) int {
	n := 0
	switch v := v.(type) {
	case *types.AttributeValueMemberS:
		return len(v.Value)
	case *types.AttributeValueMemberN:
		return numberSize(v.Value)
	case *types.AttributeValueMemberB:
		return len(v.Value)
	case *types.AttributeValueMemberM:
		return 3 + len(v.Value) + itemSize(v.Value)
	case *types.AttributeValueMemberL:
		n = 3
		for _, e := range v.Value {
			n += 1 + valueSize(e)
		}
		return n
	case *types.AttributeValueMemberSS:
		for _, s := range v.Value {
			n += len(s)
		}
		return n
	case *types.AttributeValueMemberNS:
		for _, s := range v.Value {
			n += numberSize(s)
		}
		return n
	case *types.AttributeValueMemberBS:
		for _, s := range v.Value {
			n += len(s)
		}
		return n
	}
	return 1 // NULL, BOOL
}

func numberSize(s string) int {
	n, err := parseNumber(s)
	if err != nil {
		return len(s)
	}
	size := 1 + (n.digits()+1)/2
	if n.coef.Sign() < 0 {
		size++
	}
	return size
}

// number is coef × 10^exp without trailing zeros in coef.
type number struct {
	coef *big.Int
	exp  int
}

func (n number) digits() int { return len(new(big.Int).Abs(n.coef).String()) }

// parseNumber takes what DynamoDB takes: 38 digits, magnitudes from 1E-130 to
// 9.99…E+125. Zeros at either end are dropped, nothing is rounded.
func parseNumber(s string) (number, error) {
	bad := invalid("The parameter cannot be converted to a numeric value: %s", s)
	mantissa, power, hasPower := s, 0, false
	if i := strings.IndexAny(s, "eE"); i >= 0 {
		mantissa, hasPower = s[:i], true
		p, err := strconv.Atoi(s[i+1:])
		if err != nil || p > 1000 || p < -1000 {
			return number{}, bad
		}
		power = p
	}
	whole, fraction, hasPoint := strings.Cut(mantissa, ".")
	unsigned := strings.TrimLeft(whole, "+-")
	if len(whole)-len(unsigned) > 1 || unsigned+fraction == "" || strings.Trim(unsigned+fraction, "0123456789") != "" ||
		len(s) > 400 || hasPoint && fraction == "" && unsigned == "" || hasPower && unsigned+fraction == "" {
		return number{}, bad
	}
	coef, ok := new(big.Int).SetString(unsigned+fraction, 10)
	if !ok {
		return number{}, bad
	}
	if strings.HasPrefix(whole, "-") {
		coef.Neg(coef)
	}
	n := number{coef, power - len(fraction)}.trimmed()
	if n.coef.Sign() == 0 {
		return n, nil
	}
	switch magnitude := n.digits() - 1 + n.exp; {
	case magnitude > 125:
		return number{}, invalid("Number overflow. Attempting to store a number with magnitude larger than supported range")
	case magnitude < -130:
		return number{}, invalid("Number underflow. Attempting to store a number with magnitude smaller than supported range")
	case n.digits() > 38:
		return number{}, invalid("Attempting to store more than 38 significant digits in a Number")
	}
	return n, nil
}

func (n number) trimmed() number {
	if n.coef.Sign() == 0 {
		return number{new(big.Int), 0}
	}
	ten, rest := big.NewInt(10), new(big.Int)
	for {
		q, r := new(big.Int).QuoRem(n.coef, ten, rest)
		if r.Sign() != 0 {
			return n
		}
		n = number{q, n.exp + 1}
	}
}

func (n number) String() string {
	sign, digits := "", new(big.Int).Abs(n.coef).String()
	if n.coef.Sign() < 0 {
		sign = "-"
	}
	if n.exp >= 0 {
		return sign + digits + strings.Repeat("0", n.exp)
	}
	if missing := 1 - n.exp - len(digits); missing > 0 {
		digits = strings.Repeat("0", missing) + digits
	}
	point := len(digits) + n.exp
	return sign + digits[:point] + "." + digits[point:]
}

// aligned are the coefficients of both numbers at their lower exponent.
func aligned(a, b number) (*big.Int, *big.Int, int) {
	exp := min(a.exp, b.exp)
	scale := func(n number) *big.Int {
		return new(big.Int).Mul(n.coef, new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(n.exp-exp)), nil))
	}
	return scale(a), scale(b), exp
}

// addNumbers is a + sign × b, exactly; more than 38 digits are refused.
func addNumbers(a, b string, sign int64) (string, error) {
	x, err := parseNumber(a)
	if err != nil {
		return "", err
	}
	y, err := parseNumber(b)
	if err != nil {
		return "", err
	}
	p, q, exp := aligned(x, y)
	sum := number{new(big.Int).Add(p, q.Mul(q, big.NewInt(sign))), exp}.trimmed()
	n, err := parseNumber(sum.String())
	return n.String(), err
}

// compare orders two values of the same kind S, N or B; false if they cannot be ordered.
func compare(a, b types.AttributeValue) (int, bool) {
	switch a := a.(type) {
	case *types.AttributeValueMemberS:
		if b, ok := b.(*types.AttributeValueMemberS); ok {
			return strings.Compare(a.Value, b.Value), true
		}
	case *types.AttributeValueMemberB:
		if b, ok := b.(*types.AttributeValueMemberB); ok {
			return bytes.Compare(a.Value, b.Value), true
		}
	case *types.AttributeValueMemberN:
		b, ok := b.(*types.AttributeValueMemberN)
		if !ok {
			return 0, false
		}
		x, err := parseNumber(a.Value)
		y, err2 := parseNumber(b.Value)
		if err != nil || err2 != nil {
			return 0, false
		}
		p, q, _ := aligned(x, y)
		return p.Cmp(q), true
	}
	return 0, false
}

// equal is equality of kind and content; the order within a set is of no account.
func equal(a, b types.AttributeValue) bool {
	x, err := normal(a)
	y, err2 := normal(b)
	return err == nil && err2 == nil && string(encodeValue(x)) == string(encodeValue(y))
}

// encodeValue is v in DynamoDB's JSON, {"S": "…"}, as the CLI prints it: keys sorted, binary in base64.
func encodeValue(v types.AttributeValue) json.RawMessage { return marshal(plainValue(v)) }

func encodeItem(i item) json.RawMessage { return marshal(plainItem(i)) }

// plainValue is what DynamoDB's JSON says of v, before it is text.
func plainValue(v types.AttributeValue) map[string]any {
	var content any
	switch v := v.(type) {
	case *types.AttributeValueMemberS:
		content = v.Value
	case *types.AttributeValueMemberN:
		content = v.Value
	case *types.AttributeValueMemberB:
		content = append([]byte{}, v.Value...) // never null
	case *types.AttributeValueMemberBOOL:
		content = v.Value
	case *types.AttributeValueMemberNULL:
		content = v.Value
	case *types.AttributeValueMemberM:
		content = plainItem(v.Value)
	case *types.AttributeValueMemberL:
		l := make([]any, len(v.Value))
		for i, e := range v.Value {
			l[i] = plainValue(e)
		}
		content = l
	case *types.AttributeValueMemberSS:
		content = v.Value
	case *types.AttributeValueMemberNS:
		content = v.Value
	case *types.AttributeValueMemberBS:
		content = v.Value
	}
	return map[string]any{kind(v): content}
}

func plainItem(i item) map[string]any {
	m := make(map[string]any, len(i))
	for name, v := range i {
		m[name] = plainValue(v)
	}
	return m
}

// marshal is JSON with <, > and & as they are.
func marshal(v any) json.RawMessage {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil { // strings, bools and bytes only
		panic(fmt.Sprintf("sim: encode %T: %v", v, err))
	}
	return bytes.TrimSpace(b.Bytes())
}

// decodeValue reads DynamoDB's JSON; the error says where and why.
func decodeValue(raw json.RawMessage) (types.AttributeValue, error) {
	var tagged map[string]json.RawMessage
	if err := json.Unmarshal(raw, &tagged); err != nil {
		return nil, fmt.Errorf("%s is not a DynamoDB value such as {\"S\": \"…\"}", raw)
	}
	if len(tagged) != 1 {
		return nil, fmt.Errorf("%s: a DynamoDB value has exactly one type", raw)
	}
	for tag, content := range tagged {
		var v types.AttributeValue
		var err error
		switch tag {
		case "S":
			m := &types.AttributeValueMemberS{}
			v, err = m, json.Unmarshal(content, &m.Value)
		case "N":
			m := &types.AttributeValueMemberN{}
			v, err = m, json.Unmarshal(content, &m.Value)
		case "B":
			m := &types.AttributeValueMemberB{}
			v, err = m, json.Unmarshal(content, &m.Value)
		case "BOOL":
			m := &types.AttributeValueMemberBOOL{}
			v, err = m, json.Unmarshal(content, &m.Value)
		case "NULL":
			m := &types.AttributeValueMemberNULL{}
			v, err = m, json.Unmarshal(content, &m.Value)
		case "M":
			m := &types.AttributeValueMemberM{}
			m.Value, err = decodeItem(content)
			v = m
		case "L":
			var all []json.RawMessage
			err = json.Unmarshal(content, &all)
			l := &types.AttributeValueMemberL{Value: []types.AttributeValue{}}
			for n := 0; n < len(all) && err == nil; n++ {
				var e types.AttributeValue
				e, err = decodeValue(all[n])
				l.Value = append(l.Value, e)
			}
			v = l
		case "SS":
			m := &types.AttributeValueMemberSS{}
			v, err = m, json.Unmarshal(content, &m.Value)
		case "NS":
			m := &types.AttributeValueMemberNS{}
			v, err = m, json.Unmarshal(content, &m.Value)
		case "BS":
			m := &types.AttributeValueMemberBS{}
			v, err = m, json.Unmarshal(content, &m.Value)
		default:
			return nil, fmt.Errorf("%q is not a DynamoDB type", tag)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", tag, err)
		}
		return normal(v)
	}
	return nil, errors.New("empty value") // not reached: tagged has one entry
}

func decodeItem(raw json.RawMessage) (item, error) {
	if len(raw) == 0 {
		return nil, errors.New("Item is missing")
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(raw, &all); err != nil {
		return nil, err
	}
	i := make(item, len(all))
	for _, name := range slices.Sorted(maps.Keys(all)) {
		v, err := decodeValue(all[name])
		if err != nil {
			return nil, fmt.Errorf("attribute %q: %w", name, err)
		}
		i[name] = v
	}
	return i, nil
}

// Newest is the latest point in time that an item of the account file has as a
// string of its own; zero if there is none. Expiries lie in the future and are
// numbers.
func (f *File) Newest() (time.Time, error) {
	incidents := f.values["Incidents"]
	if incidents == nil {
		return time.Time{}, nil
	}
	rows, err := as(incidents, decodeRows)
	if err != nil {
		return time.Time{}, fmt.Errorf("account file: Incidents: %w", err)
	}
	var newest time.Time
	var look func(types.AttributeValue)
	look = func(v types.AttributeValue) {
		switch v := v.(type) {
		case *types.AttributeValueMemberS:
			if t, err := time.Parse(time.RFC3339Nano, v.Value); err == nil && t.After(newest) {
				newest = t
			}
		case *types.AttributeValueMemberM:
			for _, e := range v.Value { // the latest is the same in any order
				look(e)
			}
		case *types.AttributeValueMemberL:
			for _, e := range v.Value {
				look(e)
			}
		}
	}
	for _, r := range rows {
		look(&types.AttributeValueMemberM{Value: r.item})
	}
	return newest, nil
}
