package message

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// strangerMax is as much as anyone needs of a title or a name.
const strangerMax = 200

// Stranger is text that somebody else wrote, in quotes; "" for none.
func (l Language) Stranger(s string) string {
	if s == "" {
		return ""
	}
	return l.Text("quote", "text", Plain(unquote.Replace(s), strangerMax))
}

// unquote keeps a stranger from ending our quotes.
var unquote = strings.NewReplacer(`"`, "'", "「", "'", "」", "'")

// Plain makes text harmless: one line, nothing invisible, nothing that turns
// the direction of what follows, no link that a mail program would offer, at
// most max characters. What is taken out is shown by its code point, so that a
// reader sees that somebody tried.
func Plain(s string, limit int) string {
	var b strings.Builder
	marks := 0
	for _, r := range s {
		if unicode.Is(unicode.M, r) {
			marks++
		} else {
			marks = 0
		}
		// More than two marks on one letter are there to write over the lines above.
		if !visible(r) || marks > 2 {
			fmt.Fprintf(&b, "[U+%04X]", r)
			continue
		}
		b.WriteRune(r)
	}
	return cut(unlink.Replace(b.String()), limit)
}

// unlink breaks what mail programs turn into links: in our mails, only ours is one.
var unlink = strings.NewReplacer("://", "[:]//", "www.", "www[.]", "WWW.", "WWW[.]")

func visible(r rune) bool {
	switch {
	case r == ' ', r == '\u3000': // the ideographic space is Japanese text
		return true
	case r == utf8.RuneError, !unicode.IsPrint(r):
		// Controls, line and paragraph separators, other spaces, format
		// characters (bidi, zero width), private use, unassigned.
		return false
	}
	return !unicode.Is(unicode.Variation_Selector, r) && !unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r) &&
		r != '\u2800' // prints as a blank
}

// ID is an identifier made harmless: whatever no identifier of AWS has becomes
// a question mark, so that none can read like a sentence.
func ID(s string) string {
	return cut(unlink.Replace(strings.Map(func(r rune) rune {
		if r < 0x80 && (unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune("-_.:/#%", r)) {
			return r
		}
		return '?'
	}, s)), strangerMax)
}

// cut shortens to max characters, never inside one, and shows that it did.
func cut(s string, limit int) string {
	if runes(s) <= limit {
		return s
	}
	if limit < 1 {
		return ""
	}
	return string([]rune(s)[:limit-1]) + "…"
}

func runes(s string) int { return utf8.RuneCountInString(s) }
