package message

import (
	"encoding/json"

	"cordon/internal/incident"
)

// causeMax is how much of an error's text people are shown: enough to search for.
const causeMax = 600

// Problem says an error in words, "" for none. Its cause is JSON where a Lambda
// function returned an error, empty at a time-out, and text of Step Functions'
// own otherwise:
// https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html
func (l Language) Problem(p incident.Problem) string {
	if p.Error == "" && p.Cause == "" {
		return ""
	}
	what := Plain(p.Error, 120)
	if l.known("error." + p.Error) {
		what = l.Text("error."+p.Error) + " (" + what + ")"
	}
	var lambda struct {
		ErrorMessage string `json:"errorMessage"`
		ErrorType    string `json:"errorType"`
	}
	cause := p.Cause
	if json.Unmarshal([]byte(p.Cause), &lambda) == nil && (lambda.ErrorMessage != "" || lambda.ErrorType != "") {
		cause = lambda.ErrorMessage
	}
	if cause != "" {
		if what != "" {
			what += ": "
		}
		what += Plain(cause, causeMax)
	}
	return what
}
