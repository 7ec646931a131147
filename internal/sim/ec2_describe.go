package sim

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

// description is what a Describe call asks for, in any of the ways EC2 has.
type description[T any] struct {
	action  string
	all     []*T
	id      func(*T) *string
	ids     []string // asked for by ID; none is all
	missing string   // code for an ID that does not exist
	filters []types.Filter
	fields  map[string]func(*T) []string // values by name of a filter
	tags    func(*T) []types.Tag
	max     *int32
	least   int32 // MaxResults at least
	token   *string
}

// find answers one page. A page may hold less than was asked for, nothing even,
// and only the token tells whether it is the last one.
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/Query-Requests.html#api-pagination
func (d description[T]) find(c *EC2) ([]*T, *string, error) {
	if err := d.check(); err != nil {
		return nil, nil, err
	}
	if d.max != nil {
		if len(d.ids) > 0 {
			return nil, nil, ec2Error("InvalidParameterCombination", "The parameter MaxResults cannot be used with IDs in the same request")
		}
		if *d.max < d.least || *d.max > 1000 {
			return nil, nil, ec2Error("InvalidParameterValue", "Value ( %d ) for parameter maxResults is invalid. Expecting a value greater than or equal to %d and at most 1000.", *d.max, d.least)
		}
	}
	var gone []string
	for _, id := range d.ids {
		if find(d.all, id, d.id) == nil {
			gone = append(gone, id)
		}
	}
	if len(gone) > 0 {
		return nil, nil, ec2Error(d.missing, "The ID '%s' does not exist", strings.Join(gone, ", "))
	}
	var found []*T
	for _, v := range d.all {
		if (len(d.ids) == 0 || slices.Contains(d.ids, aws.ToString(d.id(v)))) && d.matches(v) {
			found = append(found, v)
		}
	}
	from := 0
	if d.token != nil {
		b, err := base64.StdEncoding.DecodeString(*d.token)
		n, err2 := strconv.Atoi(strings.TrimPrefix(string(b), d.action+" "))
		if err != nil || err2 != nil || n < 1 {
			return nil, nil, ec2Error("InvalidPaginationToken", "The specified pagination token is not valid")
		}
		from = min(n, len(found))
	}
	size := 1000
	if c.quirks.pageSize > 0 && len(d.ids) == 0 {
		size = c.quirks.pageSize
	}
	if d.max != nil {
		size = min(size, int(*d.max))
	}
	if to := from + size; to < len(found) {
		return found[from:to], new(base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "%s %d", d.action, to))), nil
	}
	return found[from:], nil, nil
}

// matches tells whether every filter has a value that fits.
func (d description[T]) matches(v *T) bool {
	for _, f := range d.filters {
		if !slices.ContainsFunc(d.values(*f.Name, v), func(value string) bool {
			return slices.ContainsFunc(f.Values, func(pattern string) bool { return like(value, pattern) })
		}) {
			return false
		}
	}
	return true
}

// check refuses what no filter may be, and what the simulation does not know.
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_Filter.html
func (d description[T]) check() error {
	for _, f := range d.filters {
		name := aws.ToString(f.Name)
		if d.fields[name] == nil && (d.tags == nil || name != "tag-key" && !strings.HasPrefix(name, "tag:")) {
			return unknown("ec2", d.action, "filter "+name)
		}
		if len(f.Values) == 0 {
			return ec2Error("InvalidParameterValue", "The filter '%s' has no values", name)
		}
		if len(f.Values) > 200 {
			return ec2Error("FilterLimitExceeded", "The maximum number of filter values specified on a single call is 200")
		}
	}
	return nil
}

func (d description[T]) values(name string, v *T) []string {
	if of := d.fields[name]; of != nil {
		return of(v)
	}
	var values []string
	for _, t := range d.tags(v) {
		switch {
		case name == "tag-key":
			values = append(values, aws.ToString(t.Key))
		case name == "tag:"+aws.ToString(t.Key):
			values = append(values, aws.ToString(t.Value))
		}
	}
	return values
}

// like matches a filter's value: * is any text, ? any character, \ takes both literally.
// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Filtering.html#Filtering_Resources_CLI
func like(value, pattern string) bool {
	for len(pattern) > 0 {
		switch p := pattern[0]; {
		case p == '*':
			for n := range len(value) + 1 {
				if like(value[n:], pattern[1:]) {
					return true
				}
			}
			return false
		case p == '\\' && len(pattern) > 1:
			pattern = pattern[1:]
			if value == "" || value[0] != pattern[0] {
				return false
			}
		case value == "" || p != '?' && value[0] != p:
			return false
		}
		value, pattern = value[1:], pattern[1:]
	}
	return value == ""
}

// one is a field that has one value, or none.
func one[T any](of func(*T) *string) func(*T) []string {
	return func(v *T) []string {
		if s := of(v); s != nil {
			return []string{*s}
		}
		return nil
	}
}

// enum is a field that has one of a few values.
func enum[T any, S ~string](of func(*T) S) func(*T) []string {
	return func(v *T) []string { return []string{string(of(v))} }
}

// concerned are the IDs that a Describe call names.
func concerned(ids []string, filters []types.Filter) []string {
	all := slices.Clone(ids)
	for _, f := range filters {
		if strings.HasSuffix(aws.ToString(f.Name), "-id") {
			all = append(all, f.Values...)
		}
	}
	return all
}

// dereferenced are the values of a list.
func dereferenced[T any](all []*T) []T {
	values := make([]T, len(all))
	for n, v := range all {
		values[n] = *v
	}
	return values
}
