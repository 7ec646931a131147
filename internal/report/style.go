package report

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
)

//go:embed report.css
var style string

// policy lets a browser apply our style, by its hash, and load or run nothing.
var policy = func() string {
	hash := sha256.Sum256([]byte(style))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(hash[:]) + "'; base-uri 'none'; form-action 'none'"
}()
