package asl

import (
	"crypto/md5"  //nolint:gosec // $hash offers it
	"crypto/sha1" //nolint:gosec // $hash offers it
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/recolabs/gnata"
)

// functions are those that Step Functions adds to JSONata, and those of JSONata
// that ask for the time or a random number.
// https://docs.aws.amazon.com/step-functions/latest/dg/transforming-data.html
func functions(random rand.Source, now func() time.Time) map[string]gnata.CustomFunc {
	return map[string]gnata.CustomFunc{
		"partition": partition,
		"range":     arrayRange,
		"hash":      hash,
		"parse":     parseJSON,
		"random": func(args []any, _ any) (any, error) {
			if len(args) > 0 && args[0] != nil {
				seed, err := whole("$random", args[0])
				if err != nil {
					return nil, err
				}
				return rand.New(rand.NewPCG(uint64(seed), 0)).Float64(), nil //nolint:gosec // a seed asks for the same number
			}
			return fraction(random), nil
		},
		"uuid": func([]any, any) (any, error) {
			var b [16]byte
			binary.LittleEndian.PutUint64(b[:], random.Uint64())
			binary.LittleEndian.PutUint64(b[8:], random.Uint64())
			b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80 // version 4
			return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:]), nil
		},
		"shuffle": func(args []any, _ any) (any, error) {
			if len(args) == 0 || args[0] == nil {
				return nil, nil
			}
			items, ok := args[0].([]any)
			if !ok {
				return []any{args[0]}, nil
			}
			items = slices.Clone(items)
			rand.New(random).Shuffle(len(items), func(i, j int) { items[i], items[j] = items[j], items[i] }) //nolint:gosec // the seed decides
			return items, nil
		},
		singleton: func(args []any, _ any) (any, error) { return single(args[0]), nil },
		matched:   func(args []any, _ any) (any, error) { return single(asMatches(args[0])), nil },
		"millis":  func([]any, any) (any, error) { return float64(now().UnixMilli()), nil },
	}
}

// fraction is from 0 up to 1.
func fraction(random rand.Source) float64 { return float64(random.Uint64()>>11) / (1 << 53) }

// whole reads an integer argument; a fraction is cut off, as AWS does.
func whole(function string, arg any) (int64, error) {
	var f float64
	switch n := arg.(type) {
	case float64:
		f = n
	case json.Number:
		var err error
		if f, err = n.Float64(); err != nil {
			return 0, fmt.Errorf("%s: %w", function, err)
		}
	default:
		return 0, fmt.Errorf("%s takes an integer", function)
	}
	if math.Abs(f) > 1<<53 {
		return 0, fmt.Errorf("%s takes an integer", function)
	}
	return int64(f), nil
}

// partition cuts an array into arrays of a size; the last may be shorter.
func partition(args []any, _ any) (any, error) {
	if len(args) != 2 {
		return nil, errors.New("$partition takes an array and a size")
	}
	if args[0] == nil || args[1] == nil {
		return nil, nil
	}
	items, ok := args[0].([]any)
	if !ok {
		return nil, errors.New("$partition takes an array")
	}
	size, err := whole("$partition", args[1])
	if err != nil {
		return nil, err
	}
	if size < 1 {
		return nil, errors.New("$partition takes a size of one or more")
	}
	parts := []any{}
	for len(items) > 0 {
		n := min(int(size), len(items))
		parts = append(parts, append([]any{}, items[:n]...))
		items = items[n:]
	}
	return parts, nil
}

// arrayRange counts from the first to the last, both included, in steps. Like a
// sequence of JSONata, one number stands for itself: $range(1, 9, 9) is 1.
func arrayRange(args []any, _ any) (any, error) {
	if len(args) != 3 {
		return nil, errors.New("$range takes a first number, a last number and a step")
	}
	var n [3]int64
	for i, arg := range args {
		if arg == nil {
			return nil, nil
		}
		var err error
		if n[i], err = whole("$range", arg); err != nil {
			return nil, err
		}
	}
	first, last, step := n[0], n[1], n[2]
	if step == 0 {
		return nil, errors.New("$range takes a step other than zero")
	}
	count := (last-first)/step + 1
	if (last-first)*step < 0 {
		count = 0
	}
	if count > 1_000_000 {
		return nil, errors.New("$range: too many numbers")
	}
	items := make([]any, 0, count)
	for i := range count {
		items = append(items, float64(first+i*step))
	}
	if len(items) == 1 {
		return items[0], nil
	}
	return items, nil
}

func hash(args []any, _ any) (any, error) {
	if len(args) != 2 {
		return nil, errors.New("$hash takes a text and the name of an algorithm")
	}
	if args[0] == nil || args[1] == nil {
		return nil, nil
	}
	text, ok := args[0].(string)
	if !ok {
		b, err := appendJSON(nil, args[0])
		if err != nil {
			return nil, err
		}
		text = string(b)
	}
	switch args[1] {
	case "MD5":
		sum := md5.Sum([]byte(text)) //nolint:gosec // asked for by name
		return hex.EncodeToString(sum[:]), nil
	case "SHA-1":
		sum := sha1.Sum([]byte(text)) //nolint:gosec // asked for by name
		return hex.EncodeToString(sum[:]), nil
	case "SHA-256":
		sum := sha256.Sum256([]byte(text))
		return hex.EncodeToString(sum[:]), nil
	case "SHA-384":
		sum := sha512.Sum384([]byte(text))
		return hex.EncodeToString(sum[:]), nil
	case "SHA-512":
		sum := sha512.Sum512([]byte(text))
		return hex.EncodeToString(sum[:]), nil
	}
	return nil, fmt.Errorf("$hash does not know the algorithm %v", args[1])
}

// parseJSON reads a JSON text, which is what is left of $eval.
func parseJSON(args []any, _ any) (any, error) {
	if len(args) != 1 {
		return nil, errors.New("$parse takes one text")
	}
	if args[0] == nil {
		return nil, nil
	}
	text, ok := args[0].(string)
	if !ok {
		return nil, errors.New("$parse takes a text")
	}
	if !json.Valid([]byte(text)) {
		return nil, errors.New("$parse: not a JSON text")
	}
	return decodeJSON(json.RawMessage(text))
}
