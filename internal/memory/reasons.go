package memory

// reasons says in words what capture.sh and triage.ps1 report as one. The host is the
// intruder's: a word that is not here is not passed on.
var reasons = map[string]string{
	"lockdown":          "the kernel is locked down (confidentiality): not even root may read its memory",
	"low-memory":        "the host has too little free memory to hold one part",
	"no-proc":           "the host has no /proc as Linux has it",
	"no-tmpfs":          "the host has no tmpfs that may run programs, and the disk is left as it is",
	"no-directory":      "the host could not make a directory in its tmpfs",
	"no-curl":           "the host has no curl",
	"no-sha256sum":      "the host has no sha256sum",
	"no-md5sum":         "the host has no md5sum",
	"no-dd":             "the host has no dd that reads whole blocks from a pipe",
	"no-mkfifo":         "the host has no mkfifo",
	"no-sed":            "the host has no sed",
	"no-tr":             "the host has no tr",
	"no-cat":            "the host has no cat",
	"no-df":             "the host has no df",
	"no-date":           "the host has no date",
	"no-wc":             "the host has no wc",
	"no-tail":           "the host has no tail",
	"no-mktemp":         "the host has no mktemp",
	"no-uname":          "the host has no uname",
	"busy":              "another capture for this incident was under way on the host",
	"no-batch":          "the host could not fetch its first addresses from S3",
	"no-program":        "no capture program is known for the host's processor",
	"no-tool":           "the host could not fetch the capture program from S3",
	"tool-hash":         "the capture program did not have the expected SHA-256 and was not run",
	"tool-does-not-run": "the capture program does not run on this host (wrong architecture?)",
	"tool-failed":       "the capture program ended with an error",
	"no-bytes":          "the capture program wrote nothing",
	"no-addresses":      "the host got no further addresses in time",
	"part-refused":      "S3 refused a part again and again, or could not be reached",
	"upload-gone":       "the upload ended before the host was done",
	"no-room":           "the host could not write a part into its tmpfs",
	"windows":           "memory of Windows is not captured: the capture program is for Linux",
	"no-language":       "the host lets PowerShell run no script that is not signed",
	"old-powershell":    "the host has no Windows PowerShell 5.1",
	"text-refused":      "S3 refused the text again and again, or could not be reached",
	"script-failed":     "the script ended with an error",
	"no-hash":           "the host's sha256sum ended early",
}

func inWords(code string) string {
	if w := reasons[code]; w != "" {
		return w
	}
	return "the host gave a reason that is not one of ours"
}
