package sim_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"cordon/internal/sim"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

type item = map[string]types.AttributeValue

func str(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }
func num(s string) types.AttributeValue { return &types.AttributeValueMemberN{Value: s} }

// row is an item under a key, with attributes in pairs of name and value.
func row(pk, sk string, more ...any) item {
	i := item{"pk": str(pk), "sk": str(sk)}
	for n := 0; n < len(more); n += 2 {
		switch v := more[n+1].(type) {
		case string:
			i[more[n].(string)] = str(v)
		case types.AttributeValue:
			i[more[n].(string)] = v
		}
	}
	return i
}

var sameItem = cmpopts.IgnoreUnexported(types.AttributeValueMemberS{}, types.AttributeValueMemberN{}, types.AttributeValueMemberB{}, types.AttributeValueMemberBOOL{},
	types.AttributeValueMemberNULL{}, types.AttributeValueMemberM{}, types.AttributeValueMemberL{}, types.AttributeValueMemberSS{}, types.AttributeValueMemberNS{}, types.AttributeValueMemberBS{})

func put(t *testing.T, db *sim.DynamoDB, items ...item) {
	t.Helper()
	for _, i := range items {
		if _, err := db.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: aws.String(incidentsTable), Item: i}); err != nil {
			t.Fatalf("put %v: %v", i, err)
		}
	}
}

func get(t *testing.T, db *sim.DynamoDB, pk, sk string) item {
	t.Helper()
	out, err := db.GetItem(t.Context(), &dynamodb.GetItemInput{TableName: aws.String(incidentsTable), Key: row(pk, sk), ConsistentRead: aws.Bool(true)})
	if err != nil {
		t.Fatalf("get %s %s: %v", pk, sk, err)
	}
	return out.Item
}

// wantCode fails unless err carries an error code of AWS and, if given, a text.
func wantCode(t *testing.T, err error, code, text string) {
	t.Helper()
	var api smithy.APIError
	if !errors.As(err, &api) || api.ErrorCode() != code || !strings.Contains(api.ErrorMessage(), text) {
		t.Errorf("error is %v, want %s with %q", err, code, text)
	}
}

// What a condition accepts and refuses, and what it makes of an item.
// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.OperatorsAndFunctions.html
func TestConditions(t *testing.T) {
	stands := row("p", "s", "phase", "open", "n", num("10"), "tags", &types.AttributeValueMemberSS{Value: []string{"a", "b"}},
		"m", &types.AttributeValueMemberM{Value: item{"deep": str("down"), "series": &types.AttributeValueMemberL{Value: []types.AttributeValue{num("1"), str("x")}}}})
	values := item{
		":open": str("open"), ":shut": str("shut"), ":9": num("9.0"), ":ten": num("1e1"), ":a": str("a"), ":one": num("1"), ":two": num("2"),
		":o": str("o"), ":s": str("S"), ":true": &types.AttributeValueMemberBOOL{Value: true},
	}
	names := map[string]string{"#state": "state", "#phase": "phase"}
	for _, tt := range []struct {
		condition string
		want      string // "true", "false", or what the refusal says
	}{
		{"phase = :open", "true"},
		{"phase = :shut", "false"},
		{"#phase = :open", "true"},
		{"phase <> :shut", "true"},
		{"absent <> :shut", "true"}, // holds where there is no such attribute
		{"absent = :shut", "false"},
		{"absent < :shut", "false"},
		{"NOT absent = :shut", "true"},
		{"attribute_exists(phase)", "true"},
		{"attribute_not_exists(absent) AND attribute_exists(pk)", "true"},
		{"n = :ten", "true"}, // 1e1 and 10 are one number
		{"n > :9", "true"},   // as numbers: as text, 10 is before 9
		{"n >= :ten", "true"},
		{"n <= :ten", "true"},
		{"n < :ten", "false"},
		{"n > :ten", "false"},
		{"n > :a", "false"}, // another type: false, no error
		{"n BETWEEN :9 AND :ten", "true"},
		{"n IN (:9, :ten)", "true"},
		{"phase IN (:shut)", "false"},
		{"begins_with(phase, :o)", "true"},
		{"contains(phase, :o)", "true"},
		{"contains(tags, :a)", "true"},
		{"contains(tags, :o)", "false"},
		{"attribute_type(phase, :s)", "true"},
		{"size(tags) = :two", "true"},
		{"m.series[0] = :one", "true"},
		{"m.series[7] = :one", "false"},
		{"phase = :shut OR phase = :open AND n = :ten", "true"}, // AND binds tighter
		{"(phase = :open OR n = :ten) AND phase = :shut", "false"},
		{"NOT (phase = :open OR n = :ten)", "false"},
		{"not phase = :shut and n = :ten", "true"}, // keywords in any case
		{"#state = :open OR phase = :open", "true"},

		{"state = :open", "Attribute name is a reserved keyword; reserved keyword: state"},
		{"Status = :open", "reserved keyword: Status"},
		{"m.name = :open", "reserved keyword: name"},
		{"phase = :missing", "An expression attribute value used in expression is not defined; attribute value: :missing"},
		{"#missing = :open", "An expression attribute name used in the document path is not defined; attribute name: #missing"},
		{"phase = 'open'", "Syntax error"},
		{"phase == :open", "Syntax error"},
		{"phase = :open AND", "Syntax error"},
		{"phase = :open :shut", "Syntax error"},
		{"(phase = :open", "Syntax error"},
		{"", "The expression can not be empty"},
		{"((phase = :open))", "The expression has redundant parentheses"},
		{"exists(phase)", "Invalid function name; function: exists"},
		{"attribute_exists(:open)", "Operator or function requires a document path"},
		{"attribute_exists(phase, n)", "Incorrect number of operands"},
		{"begins_with(phase, :one)", "Incorrect operand type for operator or function; operator or function: begins_with, operand type: N"},
		{"n < :true", "Incorrect operand type for operator or function; operator: <, operand type: BOOL"},
		{"n = n", "The first operand must be distinct from the remaining operands"},
		{"n BETWEEN :ten AND :9", "upper bound to be greater than or equal to lower bound"},
		{"n BETWEEN :9 AND :a", "same data type for lower and upper bounds"},
	} {
		t.Run(tt.condition, func(t *testing.T) {
			db := services(t).DynamoDB()
			put(t, db, stands)
			in := &dynamodb.PutItemInput{TableName: aws.String(incidentsTable), Item: row("p", "s", "phase", "new"), ConditionExpression: &tt.condition}
			for _, token := range strings.FieldsFunc(tt.condition, func(r rune) bool { return strings.ContainsRune(" (),=<>", r) }) {
				if v, ok := values[token]; ok {
					if in.ExpressionAttributeValues == nil {
						in.ExpressionAttributeValues = item{}
					}
					in.ExpressionAttributeValues[token] = v
				}
				if v, ok := names[token]; ok {
					if in.ExpressionAttributeNames == nil {
						in.ExpressionAttributeNames = map[string]string{}
					}
					in.ExpressionAttributeNames[token] = v
				}
			}
			_, err := db.PutItem(t.Context(), in)
			after := stands
			switch tt.want {
			case "true":
				if err != nil {
					t.Errorf("refused: %v", err)
				}
				after = row("p", "s", "phase", "new")
			case "false":
				wantCode(t, err, "ConditionalCheckFailedException", "The conditional request failed")
			default:
				wantCode(t, err, "ValidationException", tt.want)
			}
			if d := cmp.Diff(after, get(t, db, "p", "s"), sameItem); d != "" {
				t.Errorf("the item that stands (-want +got):\n%s", d)
			}
		})
	}
}

// A placeholder that no expression uses, and placeholders without any
// expression, are errors.
// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.ExpressionAttributeNames.html
func TestPlaceholdersMustBeUsed(t *testing.T) {
	db := services(t).DynamoDB()
	condition := aws.String("attribute_not_exists(pk)")
	for _, tt := range []struct {
		in   dynamodb.PutItemInput
		want string
	}{
		{dynamodb.PutItemInput{ConditionExpression: condition, ExpressionAttributeNames: map[string]string{"#z": "z", "#a": "a"}}, "Value provided in ExpressionAttributeNames unused in expressions: keys: {#a, #z}"},
		{dynamodb.PutItemInput{ConditionExpression: condition, ExpressionAttributeValues: item{":a": str("a")}}, "Value provided in ExpressionAttributeValues unused in expressions: keys: {:a}"},
		{dynamodb.PutItemInput{ConditionExpression: condition, ExpressionAttributeValues: item{}}, "ExpressionAttributeValues must not be empty"},
		{dynamodb.PutItemInput{ExpressionAttributeNames: map[string]string{"#a": "a"}}, "ExpressionAttributeNames can only be specified when using expressions"},
		{dynamodb.PutItemInput{ConditionExpression: condition, ExpressionAttributeNames: map[string]string{"a": "a"}}, "ExpressionAttributeNames contains invalid key"},
		{dynamodb.PutItemInput{ConditionExpression: condition, ExpressionAttributeValues: item{"a": str("a")}}, "ExpressionAttributeValues contains invalid key"},
	} {
		tt.in.TableName, tt.in.Item = aws.String(incidentsTable), row("p", "s")
		_, err := db.PutItem(t.Context(), &tt.in)
		wantCode(t, err, "ValidationException", tt.want)
	}
	_, err := db.UpdateItem(t.Context(), &dynamodb.UpdateItemInput{TableName: aws.String(incidentsTable), Key: row("p", "s"), UpdateExpression: aws.String("REMOVE a"), ExpressionAttributeValues: item{":a": str("a")}})
	wantCode(t, err, "ValidationException", "unused in expressions: keys: {:a}")
	_, err = db.Query(t.Context(), &dynamodb.QueryInput{TableName: aws.String(incidentsTable), KeyConditionExpression: aws.String("pk = :p"), ExpressionAttributeValues: item{":p": str("p"), ":a": str("a")}})
	wantCode(t, err, "ValidationException", "unused in expressions: keys: {:a}")
	long := "attribute_not_exists(" + strings.Repeat("x", 4096) + ")"
	_, err = db.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: aws.String(incidentsTable), Item: row("p", "s"), ConditionExpression: &long})
	wantCode(t, err, "ValidationException", "Expression size has exceeded the maximum allowed size")
	if i := get(t, db, "p", "s"); i != nil {
		t.Errorf("a refused write was made: %v", i)
	}
}

// https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_PutItem.html#DDB-PutItem-request-ReturnValuesOnConditionCheckFailure
func TestRefusedPutCarriesTheItemOnlyIfAsked(t *testing.T) {
	db := services(t).DynamoDB()
	put(t, db, row("p", "s", "who", "first"))
	in := &dynamodb.PutItemInput{TableName: aws.String(incidentsTable), Item: row("p", "s", "who", "second"), ConditionExpression: aws.String("attribute_not_exists(pk)")}
	for _, asked := range []types.ReturnValuesOnConditionCheckFailure{"", types.ReturnValuesOnConditionCheckFailureNone, types.ReturnValuesOnConditionCheckFailureAllOld} {
		in.ReturnValuesOnConditionCheckFailure = asked
		_, err := db.PutItem(t.Context(), in)
		var refused *types.ConditionalCheckFailedException
		if !errors.As(err, &refused) {
			t.Fatalf("error is %v, want ConditionalCheckFailedException", err)
		}
		var want item
		if asked == types.ReturnValuesOnConditionCheckFailureAllOld {
			want = row("p", "s", "who", "first")
		}
		if d := cmp.Diff(want, refused.Item, sameItem); d != "" {
			t.Errorf("%q (-want +got):\n%s", asked, d)
		}
	}
}

// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/HowItWorks.NamingRulesDataTypes.html
// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html
func TestItemsThatAreRefused(t *testing.T) {
	db := services(t).DynamoDB()
	for name, tt := range map[string]struct {
		item item
		want string
	}{
		"no sort key":          {item{"pk": str("p")}, "Missing the key sk in the item"},
		"key of another type":  {item{"pk": str("p"), "sk": num("1")}, "Type mismatch for key sk expected: S actual: N"},
		"empty key":            {row("p", ""), "cannot contain an empty string value. Key: sk"},
		"sort key too long":    {row("p", strings.Repeat("x", 1025)), "more than 1024"},
		"empty set":            {row("p", "s", "v", &types.AttributeValueMemberSS{}), "may not contain an empty set"},
		"double in set":        {row("p", "s", "v", &types.AttributeValueMemberNS{Value: []string{"1", "1.0"}}), "contains duplicates"},
		"null that is not":     {row("p", "s", "v", &types.AttributeValueMemberNULL{}), "Null attribute value types must have the value of true"},
		"no number":            {row("p", "s", "v", num("ten")), "cannot be converted to a numeric value: ten"},
		"number of 39 digits":  {row("p", "s", "v", num(strings.Repeat("1", 39))), "more than 38 significant digits"},
		"number too large":     {row("p", "s", "v", num("1e126")), "Number overflow"},
		"number too small":     {row("p", "s", "v", num("1e-131")), "Number underflow"},
		"item of 400 KB and 1": {row("p", "s", "v", strings.Repeat("x", 400<<10-7+1)), "Item size has exceeded the maximum allowed size"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := db.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: aws.String(incidentsTable), Item: tt.item})
			wantCode(t, err, "ValidationException", tt.want)
		})
	}
	put(t, db, row("p", "s", "v", strings.Repeat("x", 400<<10-7)), row("p", "empty", "v", "")) // exactly 400 KB; empty text is no key
	_, err := db.UpdateItem(t.Context(), &dynamodb.UpdateItemInput{TableName: aws.String(incidentsTable), Key: row("p", "s"), UpdateExpression: aws.String("SET w = :w"), ExpressionAttributeValues: item{":w": str("")}})
	wantCode(t, err, "ValidationException", "Item size to update has exceeded the maximum allowed size")
}

func TestUnknownTable(t *testing.T) {
	_, err := services(t).DynamoDB().GetItem(t.Context(), &dynamodb.GetItemInput{TableName: aws.String("elsewhere"), Key: row("p", "s")})
	var missing *types.ResourceNotFoundException
	if !errors.As(err, &missing) {
		t.Errorf("error is %v, want ResourceNotFoundException", err)
	}
}

// An item that is not there is no error, but a key of another shape is.
// https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_GetItem.html
func TestGetItem(t *testing.T) {
	db := services(t).DynamoDB()
	if i := get(t, db, "p", "nothing"); i != nil {
		t.Errorf("got %v where nothing is", i)
	}
	for _, key := range []item{{"pk": str("p")}, row("p", "s", "more", "x"), {"pk": str("p"), "sk": num("1")}} {
		_, err := db.GetItem(t.Context(), &dynamodb.GetItemInput{TableName: aws.String(incidentsTable), Key: key})
		wantCode(t, err, "ValidationException", "The provided key element does not match the schema")
	}
}

// Numbers come back exact, without leading and trailing zeros.
func TestNumbersStayExact(t *testing.T) {
	db := services(t).DynamoDB()
	for sent, want := range map[string]string{
		"1.0": "1", "007": "7", "-0": "0", "1e3": "1000", ".5": "0.5", "-1.250e-2": "-0.0125", "9007199254740993": "9007199254740993",
		"12345678901234567890123456789012345678": "12345678901234567890123456789012345678",
	} {
		put(t, db, row("p", "s", "v", num(sent)))
		if got := get(t, db, "p", "s")["v"].(*types.AttributeValueMemberN).Value; got != want {
			t.Errorf("%s came back as %s, want %s", sent, got, want)
		}
	}
}

// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.UpdateExpressions.html
func TestUpdateItem(t *testing.T) {
	for _, tt := range []struct {
		name   string
		update string
		names  map[string]string
		values item
		want   item // nil where it is refused
		err    string
	}{
		{name: "sees the item as it was", update: "SET a = b, b = a", want: row("p", "s", "a", "2", "b", "1", "n", num("0.1"))},
		{name: "adds exactly", update: "SET n = n + :n", values: item{":n": num("0.2")}, want: row("p", "s", "a", "1", "b", "2", "n", num("0.3"))},
		{name: "takes away", update: "SET n = n - :n", values: item{":n": num("1")}, want: row("p", "s", "a", "1", "b", "2", "n", num("-0.9"))},
		{name: "keeps what is there", update: "SET a = if_not_exists(a, :v), c = if_not_exists(c, :v)", values: item{":v": str("v")}, want: row("p", "s", "a", "1", "b", "2", "c", "v", "n", num("0.1"))},
		{name: "counts from nothing", update: "SET c = if_not_exists(c, :z) + :one", values: item{":z": num("0"), ":one": num("1")}, want: row("p", "s", "a", "1", "b", "2", "c", num("1"), "n", num("0.1"))},
		{name: "removes, also what is not there", update: "remove a, nothing set #s = :v", names: map[string]string{"#s": "state"}, values: item{":v": str("v")}, want: row("p", "s", "state", "v", "b", "2", "n", num("0.1"))},
		{name: "a reserved word", update: "SET state = :v", values: item{":v": str("v")}, err: "reserved keyword: state"},
		{name: "a key attribute", update: "SET sk = :v", values: item{":v": str("v")}, err: "Cannot update attribute sk. This attribute is part of the key"},
		{name: "what is not there", update: "SET a = nothing", err: "refers to an attribute that does not exist in the item"},
		{name: "text plus a number", update: "SET a = a + :n", values: item{":n": num("1")}, err: "An operand in the update expression has an incorrect data type"},
		{name: "a number plus text", update: "SET n = n + :v", values: item{":v": str("v")}, err: "Incorrect operand type for operator or function"},
		{name: "a path without its parent", update: "SET m.deep = :v", values: item{":v": str("v")}, err: "The document path provided in the update expression is invalid for update"},
		{name: "one attribute twice", update: "SET a = :v REMOVE a", values: item{":v": str("v")}, err: "Two document paths overlap with each other"},
		{name: "a clause twice", update: "SET a = :v SET b = :v", values: item{":v": str("v")}, err: `The "SET" section can only be used once`},
		{name: "no clause", update: "a = :v", values: item{":v": str("v")}, err: "Syntax error"},
		{name: "a function of conditions", update: "SET a = size(b)", err: "Invalid function name; function: size"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			db := services(t).DynamoDB()
			before := row("p", "s", "a", "1", "b", "2", "n", num("0.1"))
			put(t, db, before)
			out, err := db.UpdateItem(t.Context(), &dynamodb.UpdateItemInput{
				TableName: aws.String(incidentsTable), Key: row("p", "s"), UpdateExpression: &tt.update,
				ExpressionAttributeNames: tt.names, ExpressionAttributeValues: tt.values, ReturnValues: types.ReturnValueAllNew,
			})
			want := tt.want
			if tt.err != "" {
				wantCode(t, err, "ValidationException", tt.err)
				want = before
			} else if err != nil {
				t.Fatal(err)
			} else if d := cmp.Diff(want, out.Attributes, sameItem); d != "" {
				t.Errorf("answer (-want +got):\n%s", d)
			}
			if d := cmp.Diff(want, get(t, db, "p", "s"), sameItem); d != "" {
				t.Errorf("the item that stands (-want +got):\n%s", d)
			}
		})
	}
}

// UpdateItem makes an item where there is none, unless a condition forbids it.
// https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_UpdateItem.html
func TestUpdateItemMakesWhatIsMissing(t *testing.T) {
	db := services(t).DynamoDB()
	in := &dynamodb.UpdateItemInput{
		TableName: aws.String(incidentsTable), Key: row("p", "s"), UpdateExpression: aws.String("SET a = :v"),
		ExpressionAttributeValues: item{":v": str("v")}, ConditionExpression: aws.String("attribute_exists(pk)"),
	}
	_, err := db.UpdateItem(t.Context(), in)
	wantCode(t, err, "ConditionalCheckFailedException", "")
	if i := get(t, db, "p", "s"); i != nil {
		t.Fatalf("a refused update made %v", i)
	}
	in.ConditionExpression = nil
	if _, err := db.UpdateItem(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(row("p", "s", "a", "v"), get(t, db, "p", "s"), sameItem); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func query(t *testing.T, db *sim.DynamoDB, in dynamodb.QueryInput) ([]string, *dynamodb.QueryOutput) {
	t.Helper()
	in.TableName = aws.String(incidentsTable)
	out, err := db.Query(t.Context(), &in)
	if err != nil {
		t.Fatalf("%s: %v", *in.KeyConditionExpression, err)
	}
	sks := []string{}
	for _, i := range out.Items {
		sks = append(sks, i["sk"].(*types.AttributeValueMemberS).Value)
	}
	return sks, out
}

// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Query.KeyConditionExpressions.html
func TestQuery(t *testing.T) {
	db := services(t).DynamoDB()
	put(t, db, row("p", "b#2"), row("p", "a#1"), row("p", "b#10"), row("p", "b#1", "at", "x"), row("q", "b#1"), row("p", "B"))
	all := item{":p": str("p"), ":b": str("b#"), ":b1": str("b#1"), ":b2": str("b#2"), ":x": str("x"), ":n": num("1")}
	for _, tt := range []struct {
		condition, filter string
		back              bool
		want              []string
		err               string
	}{
		{condition: "pk = :p", want: []string{"B", "a#1", "b#1", "b#10", "b#2"}}, // by bytes, not as numbers
		{condition: "pk = :p", back: true, want: []string{"b#2", "b#10", "b#1", "a#1", "B"}},
		{condition: "pk = :p AND begins_with(sk, :b)", want: []string{"b#1", "b#10", "b#2"}},
		{condition: "begins_with(sk, :b) AND pk = :p", want: []string{"b#1", "b#10", "b#2"}},
		{condition: "pk = :p AND sk = :b1", want: []string{"b#1"}},
		{condition: "pk = :p AND sk BETWEEN :b1 AND :b2", want: []string{"b#1", "b#10", "b#2"}},
		{condition: "pk = :p AND sk > :b1", want: []string{"b#10", "b#2"}},
		{condition: "pk = :x", want: []string{}},
		{condition: "pk = :p", filter: "#at = :x", want: []string{"b#1"}},
		{condition: "begins_with(pk, :p)", err: "Query key condition not supported"},
		{condition: "sk = :b1", err: "Query condition missed key schema element: pk"},
		{condition: "pk = :p AND contains(sk, :b)", err: "Query key condition not supported"},
		{condition: "pk = :p OR sk = :b1", err: "Query key condition not supported"},
		{condition: "pk = :p AND pk = :p", err: "must only contain one condition per key"},
		{condition: "pk = :n", err: "Condition parameter type does not match schema type"},
		{condition: "pk = :p", filter: "sk = :b1", err: "Filter Expression can only contain non-primary key attributes"},
	} {
		t.Run(tt.condition+" "+tt.filter, func(t *testing.T) {
			in := dynamodb.QueryInput{KeyConditionExpression: &tt.condition, ExpressionAttributeValues: item{}, ScanIndexForward: aws.Bool(!tt.back)}
			for k, v := range all {
				if strings.Contains(" "+tt.condition+" "+tt.filter+" ", k+" ") || strings.Contains(tt.condition, k+")") {
					in.ExpressionAttributeValues[k] = v
				}
			}
			if tt.filter != "" {
				in.FilterExpression = &tt.filter
				if strings.Contains(tt.filter, "#at") {
					in.ExpressionAttributeNames = map[string]string{"#at": "at"}
				}
			}
			if tt.err != "" {
				in.TableName = aws.String(incidentsTable)
				_, err := db.Query(t.Context(), &in)
				wantCode(t, err, "ValidationException", tt.err)
				return
			}
			got, _ := query(t, db, in)
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

// A page ends after Limit items or 1 MB, before the filter, and may be empty;
// LastEvaluatedKey after the last item does not mean that more follows.
// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Query.Pagination.html
func TestQueryPages(t *testing.T) {
	db := services(t).DynamoDB()
	for n := range 5 {
		put(t, db, row("p", fmt.Sprint(n), "v", strings.Repeat("x", 300<<10)))
	}
	in := dynamodb.QueryInput{KeyConditionExpression: aws.String("pk = :p"), ExpressionAttributeValues: item{":p": str("p")}}
	first, out := query(t, db, in)
	if d := cmp.Diff([]string{"0", "1", "2", "3"}, first); d != "" || out.LastEvaluatedKey == nil {
		t.Errorf("the first page is not what fits 1 MB (-want +got):\n%s", d)
	}
	in.ExclusiveStartKey = out.LastEvaluatedKey
	if second, out := query(t, db, in); !cmp.Equal(second, []string{"4"}) || out.LastEvaluatedKey != nil {
		t.Errorf("second page %v, key %v", second, out.LastEvaluatedKey)
	}
	in.ExclusiveStartKey, in.Limit = nil, aws.Int32(5)
	if all, out := query(t, db, in); len(all) == 5 && out.LastEvaluatedKey == nil {
		t.Errorf("a page that is full has no LastEvaluatedKey")
	}
	in.Limit, in.FilterExpression = aws.Int32(2), aws.String("attribute_not_exists(v)")
	if got, out := query(t, db, in); len(got) != 0 || out.ScannedCount != 2 || out.LastEvaluatedKey == nil {
		t.Errorf("filtered page: %v, scanned %d, key %v; want none of two, and more", got, out.ScannedCount, out.LastEvaluatedKey)
	}
	for want, broken := range map[string]dynamodb.QueryInput{
		"The provided starting key is invalid":     {ExclusiveStartKey: row("q", "0")},
		"greater than or equal to 1":               {Limit: aws.Int32(0)},
		"KeyConditionExpression parameter must be": {},
	} {
		broken.TableName = aws.String(incidentsTable)
		if broken.Limit != nil || broken.ExclusiveStartKey != nil {
			broken.KeyConditionExpression, broken.ExpressionAttributeValues = aws.String("pk = :p"), item{":p": str("p")}
		}
		_, err := db.Query(t.Context(), &broken)
		wantCode(t, err, "ValidationException", want)
	}
	in = dynamodb.QueryInput{KeyConditionExpression: aws.String("pk = :p"), ExpressionAttributeValues: item{":p": str("p")}, ScanIndexForward: aws.Bool(false), Limit: aws.Int32(2)}
	_, out = query(t, db, in)
	in.ExclusiveStartKey = out.LastEvaluatedKey
	if got, _ := query(t, db, in); !cmp.Equal(got, []string{"2", "1"}) {
		t.Errorf("second page backwards: %v", got)
	}
}

// Whoever holds an item that was read or written cannot change the table with it.
func TestItemsAreCopies(t *testing.T) {
	db := services(t).DynamoDB()
	i := row("p", "s", "m", &types.AttributeValueMemberM{Value: item{"a": str("1")}})
	put(t, db, i)
	i["m"].(*types.AttributeValueMemberM).Value["a"] = str("2")
	get(t, db, "p", "s")["m"].(*types.AttributeValueMemberM).Value["a"] = str("3")
	if d := cmp.Diff(row("p", "s", "m", &types.AttributeValueMemberM{Value: item{"a": str("1")}}), get(t, db, "p", "s"), sameItem); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// Whatever is cut off or left out, the answer is a refusal, never a crash.
func TestBrokenExpressions(t *testing.T) {
	db := services(t).DynamoDB()
	put(t, db, row("p", "s"))
	update := "SET #a.b[0] = if_not_exists(c, :v) + :v, d = list_append(e, :v) REMOVE f, g[1]"
	condition := "(size(a) > :v AND NOT contains(b.c[1], :v)) OR a BETWEEN :v AND :v OR a IN (:v, :v)"
	for _, whole := range []string{update, condition} {
		for from := range whole {
			for to := from; to <= len(whole); to++ {
				in := &dynamodb.UpdateItemInput{
					TableName: aws.String(incidentsTable), Key: row("p", "s"), ConditionExpression: aws.String(whole[from:to]),
					UpdateExpression: aws.String(whole[from:to]), ExpressionAttributeNames: map[string]string{"#a": "a"}, ExpressionAttributeValues: item{":v": num("1")},
				}
				_, err := db.UpdateItem(t.Context(), in)
				if err == nil {
					t.Errorf("%q was taken both for a condition and for an update", whole[from:to])
				}
			}
		}
	}
}

// https://docs.aws.amazon.com/cli/latest/reference/dynamodb/get-item.html shows the form of items.
func TestNewestTime(t *testing.T) {
	file := `{"Reservations": [], "Incidents": [
		{"Table": "incidents", "Item": {"pk": {"S": "p"}, "sk": {"S": "1"}, "openedAt": {"S": "2026-03-01T10:00:00Z"}, "expires": {"N": "4102444800"}}},
		{"Table": "incidents", "Item": {"pk": {"S": "p"}, "sk": {"S": "2"}, "m": {"M": {"l": {"L": [{"S": "2026-03-01T12:00:00.5+01:00"}]}}}, "body": {"S": "until 2030-01-01T00:00:00Z"}}}]}`
	newest := func(file string) (time.Time, error) {
		f, err := sim.Read([]byte(file))
		if err != nil {
			t.Fatal(err)
		}
		return f.Newest()
	}
	got, err := newest(file)
	if want := time.Date(2026, 3, 1, 11, 0, 0, 500_000_000, time.UTC); err != nil || !got.Equal(want) {
		t.Errorf("newest %v, %v; want %v", got, err, want)
	}
	if got, err := newest(`{}`); err != nil || !got.IsZero() {
		t.Errorf("of nothing: %v, %v", got, err)
	}
	for broken, want := range map[string]string{
		`{"pk": "p"}`:                          `attribute "pk"`,
		`{"pk": {"S": "p", "N": "1"}}`:         "exactly one type",
		`{"pk": {"X": "p"}}`:                   `"X" is not a DynamoDB type`,
		`{"n": {"N": "ten"}}`:                  "cannot be converted to a numeric value",
		`{"b": {"B": "no base64!"}}`:           "illegal base64",
		`{"m": {"M": {"deep": {"L": ["x"]}}}}`: `attribute "deep"`,
	} {
		if _, err := newest(`{"Incidents": [{"Item": ` + broken + `}]}`); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "Incidents: [0]") {
			t.Errorf("%s: error %v, want one with %s and Incidents: [0]", broken, err, want)
		}
	}
}
