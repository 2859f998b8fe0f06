package aggregate

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Limits of what identifies an entry, in bytes of UTF-8.
const (
	MaxName = 512     // tools and prompts, with the prefix; as emitter.Target bounds them: a longer one would be cut in the trail
	MaxURI  = 8 << 10 // resources and templates
)

// ValidName reports whether text can name a tool or a prompt: not empty, at most
// MaxName bytes, and only what can be seen, so that no two names look alike by
// what cannot. MCP asks for less (2025-11-25, server/tools: letters, digits and
// _-. should be enough), back ends have more.
func ValidName(text string) bool { return validName(text) == "" }

func validName(text string) string { return valid(text, nameKey, MaxName) }

func validURI(text string) string { return valid(text, "URI", MaxURI) }

// valid returns what is wrong with text.
func valid(text, what string, limit int) string {
	switch {
	case text == "":
		return "has an empty " + what
	case len(text) > limit:
		return "has a " + what + " of more than " + strconv.Itoa(limit) + " bytes"
	case strings.ContainsFunc(text, hidden):
		return "has a " + what + " with characters that cannot be seen"
	}
	return ""
}

// hidden reports whether r is a control or format character, or stands for
// bytes that were none.
func hidden(r rune) bool { return r == utf8.RuneError || !unicode.IsPrint(r) }
