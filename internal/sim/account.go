package sim

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
)

// File is an account file as it was read, for any number of accounts.
type File struct {
	values map[string]*value
}

// value is what a key of a file has. It is decoded once, and copied for each account.
type value struct {
	text json.RawMessage
	once sync.Once
	is   any
	err  error
}

// as is a value as read decodes it: to be looked at, never changed.
func as[T any](v *value, read func(json.RawMessage) (T, error)) (T, error) {
	v.once.Do(func() { v.is, v.err = read(v.text) })
	is, _ := v.is.(T)
	return is, v.err
}

func decoded[T any](text json.RawMessage) (v T, err error) {
	err = json.Unmarshal(text, &v)
	return v, err
}

// Read reads an account file: one JSON object whose keys are those of the AWS CLI's
// answers. What they hold is looked at when an account is opened.
func Read(file []byte) (*File, error) { return read("account file", file) }

func read(what string, b []byte) (*File, error) {
	d := json.NewDecoder(bytes.NewReader(b))
	var texts map[string]json.RawMessage
	if err := d.Decode(&texts); err != nil {
		return nil, fmt.Errorf("%s: not a JSON object: %w", what, err)
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, fmt.Errorf("%s: more than one JSON value", what)
	}
	f := &File{values: make(map[string]*value, len(texts))}
	for key, text := range texts {
		f.values[key] = &value{text: text}
	}
	return f, nil
}

// section is one key of the account file.
type section struct {
	key  string
	load func(*value) error
	save func() any // of SDK types; nil where there is nothing to tell
}

// kept is a section that is kept as it came. What v points to is the truth.
func kept[T any](key string, v *T) section {
	return section{key, func(from *value) error {
		is, err := as(from, decoded[T])
		*v = clone(is)
		return err
	}, func() any { return *v }}
}

// Open makes an account from a file. No file is an account with nothing in it.
func Open(s Settings, file []byte) (*Account, error) {
	var f *File
	if file != nil {
		var err error
		if f, err = Read(file); err != nil {
			return nil, err
		}
	}
	return f.Open(s)
}

// Open makes an account from what was read.
func (f *File) Open(s Settings) (*Account, error) {
	if s.Clock == nil {
		return nil, errors.New("an account needs a clock")
	}
	a := &Account{settings: s.withDefaults(), faults: map[Fault]Kind{}, started: map[string]int{}, attempts: map[string]int{}, happened: map[string]int{}, stormed: make([]bool, len(s.Storms))}
	for _, f := range s.Faults {
		at := Fault{Service: f.Service, Action: f.Action, Number: f.Number}
		if other, ok := a.faults[at]; ok {
			at.Kind = other
			return nil, fmt.Errorf("faults %v and %v hit the same call", at, f)
		}
		a.faults[at] = f.Kind
	}
	a.ec2, a.dynamodb, a.s3, a.sns, a.kms, a.sfn, a.ssm = newEC2(a), newDynamoDB(a), newS3(a), newSNS(a), newKMS(a), newSFN(a), newSSM(a)
	a.sts = newSTS(a)
	a.iam, a.autoscaling, a.balancers, a.classics, a.cloudtrail = newIAM(a), newAutoScaling(a), newBalancers(a), newClassics(a), newCloudTrail(a)
	a.access = newVerifiedAccess(a)
	if f == nil {
		return a, nil
	}
	sections := a.sections()
	others, err := f.load("account file", sections)
	if err != nil {
		return nil, err
	}
	// A copy of a real account holds more than the workflow touches: that is
	// carried along as it came. What looks like a slip of the pen is not.
	for _, k := range sortedKeys(others) {
		for _, s := range sections {
			if strings.EqualFold(strings.TrimSuffix(k, "s"), strings.TrimSuffix(s.key, "s")) {
				return nil, fmt.Errorf("account file: key %q is not known; write %q", k, s.key)
			}
		}
	}
	a.others = others
	for _, settle := range []func() error{a.ec2.settle, a.autoscaling.settle, a.balancers.settle, a.classics.settle, a.iam.settle, a.cloudtrail.settle} {
		if err := settle(); err != nil {
			return nil, fmt.Errorf("account file: %w", err)
		}
	}
	return a, nil
}

// sections are the keys of the account file.
func (a *Account) sections() []section {
	return append(slices.Concat(a.ec2.sections(), a.sts.sections(), a.sns.sections(), a.dynamodb.sections(), a.ssm.sections(),
		a.autoscaling.sections(), a.balancers.sections(), a.classics.sections(), a.iam.sections(), a.cloudtrail.sections()), group("Behaviour", a.behaviours()))
}

// behaviours are the keys of the account file's Behaviour: what the account
// does that no answer of AWS tells.
func (a *Account) behaviours() []section {
	return slices.Concat(a.ec2.behaviours(), a.sts.behaviours(), a.ssm.behaviours(), a.autoscaling.behaviours(), a.cloudtrail.behaviours())
}

// group is a section of sections.
func group(key string, all []section) section {
	return section{key, func(from *value) error {
		f, err := as(from, func(text json.RawMessage) (*File, error) { return read(key, text) })
		if err != nil {
			return err
		}
		others, err := f.load(key, all)
		if err != nil || len(others) == 0 {
			return err
		}
		var known []string
		for _, s := range all {
			known = append(known, s.key)
		}
		slices.Sort(known)
		return fmt.Errorf("key %q is not known; known are %s", sortedKeys(others)[0], strings.Join(known, ", "))
	}, func() any { return save(all) }}
}

// load hands the sections what the file has for them, and returns what none of them
// knows.
func (f *File) load(what string, all []section) (others map[string]json.RawMessage, err error) {
	others = map[string]json.RawMessage{}
	for key, v := range f.values {
		others[key] = v.text
	}
	for _, s := range all {
		v, ok := f.values[s.key]
		delete(others, s.key)
		if !ok || string(v.text) == "null" {
			continue
		}
		if err := s.load(v); err != nil {
			var shape *json.UnmarshalTypeError
			if errors.As(err, &shape) {
				err = fmt.Errorf("%s is a JSON %s there, which is not how the AWS CLI answers", cmp.Or(shape.Field, "the value"), shape.Value)
			}
			return nil, fmt.Errorf("%s: %s: %w", what, s.key, err)
		}
	}
	return others, nil
}

func save(all []section) map[string]any {
	to := map[string]any{}
	for _, s := range all {
		if v := pruned(s.save()); v != nil {
			to[s.key] = v
		}
	}
	return to
}

// JSON is the account as it is now, in the shape of the file that Open reads.
func (a *Account) JSON() ([]byte, error) {
	all := save(a.sections())
	for k, v := range a.others {
		all[k] = v
	}
	b, err := json.MarshalIndent(all, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write the account: %w", err)
	}
	return append(b, '\n'), nil
}
