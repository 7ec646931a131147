package e2e

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// Ours serves what neither ministack nor moto has, on the wire protocols of AWS.
type Ours struct {
	SSM       *SSM
	Locks     *Locks
	Refreshes *Refreshes
	Screens   *Screens
}

// Missing are the calls that Ours serves.
var Missing = []string{
	"ssm:CancelCommand", "ssm:DescribeInstanceInformation", "ssm:DescribeSessions", "ssm:GetCommandInvocation", "ssm:ListCommands", "ssm:SendCommand",
	"ec2:LockSnapshot", "ec2:DescribeLockedSnapshots", "ec2:GetConsoleScreenshot",
	"autoscaling:DescribeInstanceRefreshes",
}

// refusal is an error that AWS answers with.
type refusal struct {
	code, message string
	status        int // 0 is 400
}

func (r *refusal) Error() string { return r.code + ": " + r.message }

func refused(code, format string, args ...any) error {
	return &refusal{code: code, message: fmt.Sprintf(format, args...)}
}

func (o *Ours) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // whoever called is gone
	}
	c, err := ReadCall(r, body)
	if err != nil {
		// Without a signature nobody is served.
		// https://docs.aws.amazon.com/systems-manager/latest/APIReference/CommonErrors.html
		write(w, http.StatusForbidden, "application/x-amz-json-1.1", `{"__type":"MissingAuthenticationToken","message":"The request must contain a valid credential."}`)
		return
	}
	switch c.Service {
	case "ssm":
		out, err := o.SSM.serve(r.Context(), c.Action, body)
		writeJSON(w, out, err)
	case "autoscaling":
		out, err := o.Refreshes.serve(r.Context(), c.Parameters)
		writeQuery(w, c.Action, out, err)
	default:
		if c.Action == "GetConsoleScreenshot" {
			out, err := o.Screens.serve(r.Context(), c.Parameters)
			writeXML(w, c.Action, out, err)
			return
		}
		out, err := o.Locks.serve(r.Context(), c.Action, c.Parameters)
		writeXML(w, c.Action, out, err)
	}
}

// writeQuery answers as services of the protocol awsQuery do.
func writeQuery(w http.ResponseWriter, action string, out any, err error) {
	status, name := http.StatusOK, action+"Response"
	if err != nil {
		known, s := reason(err)
		status, name = s, "ErrorResponse"
		out = queryError{Type: "Sender", Code: known.code, Message: known.message}
	}
	inner, err := xml.Marshal(out)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	write(w, status, "text/xml", fmt.Sprintf(`<%s>%s<RequestId>%s</RequestId></%s>`, name, inner, requestID, name))
}

type queryError struct {
	XMLName             xml.Name `xml:"Error"`
	Type, Code, Message string
}

// writeJSON answers as services of the protocol awsJson1_1 do.
func writeJSON(w http.ResponseWriter, out any, err error) {
	status := http.StatusOK
	if err != nil {
		known, status2 := reason(err)
		status = status2
		out = map[string]string{"__type": known.code, "message": known.message}
		w.Header().Set("X-Amzn-Errortype", known.code)
	}
	text, err := json.Marshal(out)
	if err != nil {
		status, text = http.StatusInternalServerError, []byte(err.Error())
	}
	write(w, status, "application/x-amz-json-1.1", string(text))
}

// writeXML answers as EC2 does.
func writeXML(w http.ResponseWriter, action string, out any, err error) {
	if err != nil {
		known, status := reason(err)
		refuseEC2(w, status, known.code, known.message)
		return
	}
	inner, err := xml.Marshal(out)
	if err != nil {
		refuseEC2(w, http.StatusInternalServerError, "InternalError", err.Error())
		return
	}
	// The fields stand in the response itself.
	fields := strings.TrimSuffix(strings.TrimPrefix(string(inner), "<answer>"), "</answer>")
	write(w, http.StatusOK, "text/xml;charset=UTF-8", fmt.Sprintf(
		`<?xml version="1.0" encoding="UTF-8"?><%sResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><requestId>%s</requestId>%s</%sResponse>`,
		action, requestID, fields, action))
}

const requestID = "00000000-0000-4000-8000-000000000000"

// refuseEC2 is an error as EC2 answers with.
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
func refuseEC2(w http.ResponseWriter, status int, code, message string) {
	var text strings.Builder
	if err := xml.EscapeText(&text, []byte(message)); err != nil {
		panic(err) // a builder takes everything
	}
	write(w, status, "text/xml;charset=UTF-8", fmt.Sprintf(
		`<?xml version="1.0" encoding="UTF-8"?><Response><Errors><Error><Code>%s</Code><Message>%s</Message></Error></Errors><RequestID>%s</RequestID></Response>`,
		code, text.String(), requestID))
}

// reason is what a caller is told. What is no refusal is a failure of ours.
func reason(err error) (*refusal, int) {
	var known *refusal
	if errors.As(err, &known) {
		if known.status == 0 {
			return known, http.StatusBadRequest
		}
		return known, known.status
	}
	return &refusal{code: "InternalServerError", message: err.Error()}, http.StatusInternalServerError
}
