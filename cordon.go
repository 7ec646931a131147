// Package cordon embeds what is deployed, so that a built cordon rehearses
// exactly that, wherever it runs.
package cordon

import _ "embed"

// Template is template.yaml.
//
//go:embed template.yaml
var Template []byte

// Definition is the state machine before substitution.
//
//go:embed statemachines/incident-response.asl.json
var Definition []byte
