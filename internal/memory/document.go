package memory

import (
	_ "embed"
	"strconv"
	"strings"
)

// Script is what runs on the host: with Triage the body of the document, and all
// of it.
//
//go:embed capture.sh
var Script string

// Triage is what the script calls where there can be no image. It stands before it.
//
//go:embed triage.sh
var Triage string

// WindowsScript is what runs on a Windows host. It sends text; there is no image.
//
//go:embed triage.ps1
var WindowsScript string

// The document's parameters. Each is held to a pattern by Systems Manager, so
// that nothing that ends a quoted word reaches the shell.
// https://docs.aws.amazon.com/systems-manager/latest/userguide/documents-syntax-data-elements-parameters.html
const (
	paramIncident = "Incident"
	paramBatch    = "Batch"
	paramPartMiB  = "PartMiB"
	paramToolKey  = "ToolKey"
	paramSHA256   = "ToolSha256"
	paramSeconds  = "executionTimeout"
)

func parameter(description, pattern string) map[string]any {
	return map[string]any{"type": "String", "description": description, "allowedPattern": pattern}
}

// Document is the content of the SSM document (schema 2.2) that holds the
// script, in the shape in which a template writes it. template.yaml has a copy;
// a test holds the two together.
func Document() map[string]any {
	return map[string]any{
		"schemaVersion": "2.2",
		"description":   "Streams the memory of a Linux instance into the evidence bucket over pre-signed addresses.",
		"parameters": map[string]any{
			paramIncident: parameter("ID of the incident", `^[0-9A-Za-z.-]+$`),
			paramBatch:    parameter("Pre-signed address of the first batch of addresses; it dies within minutes", `^https://[0-9A-Za-z:/.?=&%_~+-]+$`),
			paramPartMiB:  parameter("Size of a part in MiB", `^[1-9][0-9]{0,3}$`),
			paramToolKey:  parameter("Key of the program that reads memory, for the command's history; it is fetched by an address of the batch", `^[0-9A-Za-z/._+-]+$`),
			paramSHA256:   parameter("SHA-256 of that program, lower-case hex; nothing else is run", `^[0-9a-f]{64}$`),
			paramSeconds:  parameter("Seconds after which the capture is stopped", `^[1-9][0-9]{2,5}$`),
		},
		"mainSteps": []any{map[string]any{
			"action":       "aws:runShellScript",
			"name":         "captureMemory",
			"precondition": map[string]any{"StringEquals": []any{"platformType", "Linux"}},
			"inputs": map[string]any{
				"timeoutSeconds": "{{ " + paramSeconds + " }}",
				"runCommand": []any{
					"export CORDON_INCIDENT='{{ " + paramIncident + " }}' CORDON_PART_MIB='{{ " + paramPartMiB + " }}' CORDON_TOOL='{{ " + paramToolKey + " }}' CORDON_SHA256='{{ " + paramSHA256 + " }}'",
					"export CORDON_BATCH='{{ " + paramBatch + " }}'",
					Triage,
					Script,
				},
			},
		}},
	}
}

// WindowsDocument is the content of the document for Windows. It is one of its
// own: of a document with a step for each system GetCommandInvocation tells no
// output unless the step is named.
// https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetCommandInvocation.html
func WindowsDocument() map[string]any {
	return map[string]any{
		"schemaVersion": "2.2",
		"description":   "Sends text about what runs on a Windows instance into the evidence bucket over a pre-signed address.",
		"parameters": map[string]any{
			paramIncident: parameter("ID of the incident", `^[0-9A-Za-z.-]+$`),
			paramBatch:    parameter("Pre-signed address of the batch with the address to send to; it dies within minutes", `^https://[0-9A-Za-z:/.?=&%_~+-]+$`),
			paramSeconds:  parameter("Seconds after which the script is stopped", `^[1-9][0-9]{2,5}$`),
		},
		"mainSteps": []any{map[string]any{
			"action":       "aws:runPowerShellScript",
			"name":         "sayWhatRuns",
			"precondition": map[string]any{"StringEquals": []any{"platformType", "Windows"}},
			"inputs": map[string]any{
				"timeoutSeconds": "{{ " + paramSeconds + " }}",
				"runCommand": []any{
					"$incident = '{{ " + paramIncident + " }}'",
					"$batch = '{{ " + paramBatch + " }}'",
					WindowsScript,
				},
			},
		}},
	}
}

// parameters is what SendCommand gives the document.
func (p plan) parameters(incidentID, batch, toolKey, toolSHA256 string) map[string][]string {
	if p.Windows {
		return map[string][]string{paramIncident: {incidentID}, paramBatch: {batch}, paramSeconds: {strconv.Itoa(p.RunSeconds)}}
	}
	return map[string][]string{
		paramIncident: {incidentID},
		paramBatch:    {batch},
		paramPartMiB:  {strconv.FormatInt(p.PartBytes>>20, 10)},
		paramToolKey:  {toolKey},
		paramSHA256:   {strings.ToLower(toolSHA256)},
		paramSeconds:  {strconv.Itoa(p.RunSeconds)},
	}
}
