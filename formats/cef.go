package formats

import (
	"strconv"

	"github.com/vmcp-audit/vmcp-audit/emitter"
)

// Vendor and product of CEF and LEEF.
const (
	vendor  = "vmcp-audit"
	product = "vmcp-audit"
)

// What the header of CEF and LEEF holds of observer.version, in bytes: CEF takes
// no more.
const maxVersion = 31

// cef is the ArcSight Common Event Format, version 0, which every reader
// understands:
//
//	CEF:0|vmcp-audit|vmcp-audit|0.3.0|mcp_tool_call|Tool called|3|rt=1763818790678 outcome=success ...
//
// CEF Implementation Standard v27, chapters 1 and 2. In the header a backslash
// stands before \ and |, in a value before \ and =, and line ends are \n and \r;
// there are no other escapes, and some readers refuse a line with another.
var cef = &grammar{
	head:   appendCEFHead,
	key:    func(f *field) *key { return &f.cef },
	sep:    ' ',
	text:   cefText,
	item:   cefText.with(",", ";"),
	millis: func(e *emitter.Event) int64 { return max(e.LoggedAt.UnixMilli(), 0) },
	mark:   key{name: "flexString2", label: "truncated"},
}

var (
	cefText = newSyntax(`\`, `\\`, "=", `\=`, "\n", `\n`, "\r", `\r`)
	cefHead = newSyntax(`\`, `\\`, "|", `\|`)
)

func appendCEFHead(dst []byte, e *emitter.Event) []byte {
	k := kindOf(e)
	dst = append(dst, "CEF:0|"+vendor+"|"+product+"|"...)
	dst = cefHead.append(dst, versionOf(e))
	dst = append(append(dst, '|'), k.Type...)
	dst = append(append(dst, '|'), k.Name...)
	dst = strconv.AppendInt(append(dst, '|'), severityOf(e), 10)
	return append(dst, '|')
}

// versionOf returns the version of the emitter.
func versionOf(e *emitter.Event) string {
	if v := trim(emitter.Bounded(e.Observer.Version, maxVersion)); v != "" {
		return v
	}
	return "unknown"
}
