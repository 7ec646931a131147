package asl

import (
	"crypto/md5"  //nolint:gosec // $hash offers it
	"crypto/sha1" //nolint:gosec // $hash offers it
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"cordon/internal/jsonata"
)

// functions are those that Step Functions adds to JSONata, and those of JSONata
// that ask for a random number. $eval is taken away.
// https://docs.aws.amazon.com/step-functions/latest/dg/transforming-data.html
func functions(random rand.Source) map[string]jsonata.Function {
	return map[string]jsonata.Function{
		"eval":      nil,
		"partition": partition,
		"range":     arrayRange,
		"hash":      hash,
		"parse":     parseJSON,
		"random":    func(args []any) (any, error) { return randomNumber(args, random) },
		"uuid": func(args []any) (any, error) {
			if len(args) > 0 {
				return nil, unfit("uuid", 0)
			}
			var b [16]byte
			binary.LittleEndian.PutUint64(b[:], random.Uint64())
			binary.LittleEndian.PutUint64(b[8:], random.Uint64())
			b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80 // version 4
			return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:]), nil
		},
		"shuffle": func(args []any) (any, error) {
			items, is := args[0].([]any)
			if !is {
				return nil, nil
			}
			items = slices.Clone(items)
			rand.New(random).Shuffle(len(items), func(i, j int) { items[i], items[j] = items[j], items[i] }) //nolint:gosec // the seed decides
			return items, nil
		},
	}
}

// randomNumber is $random: with a seed, what java.util.Random makes of it, which
// is what AWS answers. https://github.com/floci-io/floci/issues/2662
// https://docs.oracle.com/en/java/javase/21/docs/api/java.base/java/util/Random.html
func randomNumber(args []any, random rand.Source) (any, error) {
	args, err := given("random", args, 1)
	if err != nil {
		return nil, err
	}
	if len(args) == 0 {
		return fraction(random), nil
	}
	seed, err := whole("random", args, 0)
	if err != nil {
		return nil, err
	}
	const multiplier, mask = 0x5DEECE66D, 1<<48 - 1
	state := (uint64(seed) ^ multiplier) & mask //nolint:gosec // a negative seed is its bits
	next := func(bits int) uint64 {
		state = (state*multiplier + 0xB) & mask
		return state >> (48 - bits)
	}
	high := next(26)
	return float64(high<<27+next(27)) / (1 << 53), nil
}

// unfit is the error of an argument, counted from 0, that a function does not take.
func unfit(name string, argument int) error {
	return &jsonata.Error{Code: "T0410", Token: name, Index: argument + 1}
}

// given are the arguments of a function of Step Functions up to the first that is
// undefined: most of these functions are undefined then.
func given(name string, args []any, most int) ([]any, error) {
	if len(args) > most {
		return nil, unfit(name, most)
	}
	if i := slices.Index(args, nil); i >= 0 {
		return args[:i], nil
	}
	return args, nil
}

// fraction is from 0 up to 1.
func fraction(random rand.Source) float64 { return float64(random.Uint64()>>11) / (1 << 53) }

// whole reads an integer argument; a fraction is cut off, as AWS does. What it does
// beyond what a double counts exactly, or where there is no number, nobody measured.
func whole(name string, args []any, i int) (int64, error) {
	if n, is := args[i].(json.Number); is {
		return 0, jsonata.Unsupported("$" + name + " of " + n.String())
	}
	f, is := args[i].(float64)
	if !is {
		return 0, unfit(name, i)
	}
	if math.IsNaN(f) {
		return 0, jsonata.Unsupported("$" + name + " of what is not a number")
	}
	return int64(max(min(f, 1<<53), -1<<53)), nil
}

// What AWS answers to odd arguments of the functions below was measured there:
// https://github.com/floci-io/floci/pull/2676

// partition cuts an array into arrays of a size; the last may be shorter.
func partition(args []any) (any, error) {
	args, err := given("partition", args, 2)
	if err != nil || len(args) == 0 {
		return nil, err
	}
	items, ok := args[0].([]any)
	if !ok {
		return nil, jsonata.Unworded(&jsonata.Error{Code: "T0412", Token: "partition", Index: 1, Value: args[0]})
	}
	size := int64(len(items))
	if len(args) == 2 {
		if size, err = whole("partition", args, 1); err != nil {
			return nil, err
		}
	}
	switch {
	case size < 0:
		return nil, &jsonata.Error{Code: "D3137", Text: "Second argument must be zero or greater"}
	case size == 0 || len(items) == 0:
		return nil, nil
	}
	parts := []any{}
	for part := range slices.Chunk(items, int(size)) {
		parts = append(parts, slices.Clone(part))
	}
	return parts, nil
}

// rangeLimit is how many numbers $range gives on AWS before it is out of memory.
// https://github.com/floci-io/floci/issues/2737
const rangeLimit = 360_145

// arrayRange counts from the first to the last, both included, in steps. Like a
// sequence of JSONata, one number stands for itself: $range(1, 9, 9) is 1.
func arrayRange(args []any) (any, error) {
	args, err := given("range", args, 3)
	switch {
	case err != nil:
		return nil, err
	case len(args) == 1:
		return nil, unfit("range", 1)
	case len(args) < 3:
		return nil, nil
	}
	var n [3]int64
	for i := range args {
		if n[i], err = whole("range", args, i); err != nil {
			return nil, err
		}
	}
	first, last, step := n[0], n[1], n[2]
	if step == 0 || first < last != (step > 0) && first != last {
		return nil, nil
	}
	count := (last-first)/step + 1
	if count > rangeLimit {
		return nil, &jsonata.Error{Text: "Expression evaluation memory limit exceeded: Check for excessive memory usage"}
	}
	items := make([]any, 0, count)
	for i := range count {
		items = append(items, float64(first+i*step))
	}
	return jsonata.Sequence(items), nil
}

func hash(args []any) (any, error) {
	args, err := given("hash", args, 2)
	if err != nil {
		return nil, err
	}
	for i, arg := range args {
		if _, ok := arg.(string); !ok {
			return nil, unfit("hash", i)
		}
	}
	if len(args) < 2 {
		return nil, nil
	}
	text := []byte(args[0].(string))
	switch args[1] {
	case "MD5":
		sum := md5.Sum(text) //nolint:gosec // asked for by name
		return hex.EncodeToString(sum[:]), nil
	case "SHA-1":
		sum := sha1.Sum(text) //nolint:gosec // asked for by name
		return hex.EncodeToString(sum[:]), nil
	case "SHA-256":
		sum := sha256.Sum256(text)
		return hex.EncodeToString(sum[:]), nil
	case "SHA-384":
		sum := sha512.Sum384(text)
		return hex.EncodeToString(sum[:]), nil
	case "SHA-512":
		sum := sha512.Sum512(text)
		return hex.EncodeToString(sum[:]), nil
	}
	return nil, jsonata.Unworded(&jsonata.Error{Code: "D3137", Text: fmt.Sprintf("Hash algorithm '%v' is none", args[1])})
}

// parseJSON reads a JSON text, which is what is left of $eval.
func parseJSON(args []any) (any, error) {
	args, err := given("parse", args, 1)
	if err != nil || len(args) == 0 {
		return nil, err
	}
	text, ok := args[0].(string)
	if !ok {
		return nil, unfit("parse", 0)
	}
	if jsonata.HalfCharacter([]byte(text)) {
		return nil, jsonata.Unsupported("$parse of half a character")
	}
	value, err := jsonata.Decode(json.RawMessage(text))
	if err != nil || RepeatsKey(json.RawMessage(text)) {
		return nil, &jsonata.Error{Code: "D3137", Text: "Invalid JSON"}
	}
	return value, nil
}

// RepeatsKey says whether an object in a JSON text has a key twice.
func RepeatsKey(raw json.RawMessage) bool {
	raw, err := compact(raw)
	if err != nil {
		return false
	}
	var inner []json.RawMessage
	switch raw[0] {
	case '{':
		all, err := members("", raw)
		if err != nil {
			return true
		}
		for _, m := range all {
			inner = append(inner, m.raw)
		}
	case '[':
		if json.Unmarshal(raw, &inner) != nil {
			return false
		}
	}
	return slices.ContainsFunc(inner, RepeatsKey)
}
