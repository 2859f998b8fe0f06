package config

import (
	"bytes"
	"fmt"
	"io"
	"strings"
)

const pageHead = `<!-- Made from cmd/vmcp-audit/internal/vmcp/config by its WritePage; change the struct tags there. -->

# The configuration file of the virtual MCP server

` + "`vmcp-audit serve --config vmcp.yaml`" + ` reads YAML with the keys of ToolHive's vMCP (stacklok/toolhive, ` + "`pkg/vmcp/config`" + `,
August 2026), so that a file can move over, and a few keys of our own. A whole one is [examples/vmcp.yaml](examples/vmcp.yaml).

* Nothing is ignored in silence: a key that is not known is a mistake, and so is one that asks for what this version does not
  do. All mistakes are reported at once, one line each, with line, column and key; the exit code is 78:

` + "```" + `
vmcp.yaml:6:5: backends[1].url: does not begin with http:// or https://
vmcp.yaml:9:3: aggregation.conflict_resolution: is not known, did you mean conflictResolution?
` + "```" + `

* A secret stands in the environment (` + "`valueEnv`" + `) or in a file (` + "`valueFile`" + `), never in the YAML: a header or variable
  whose name speaks of one (` + "`Authorization`, `X-Api-Key`, `GITHUB_TOKEN`" + `) takes no text. Both are read at the start and
  not again. No message shows a value.
* An empty value (` + "`key:`" + `) counts as not set. Durations have units: ` + "`500ms`, `30s`, `5m`" + `.
* The file has at most 1 MiB, a list or mapping at most 1024 items. Aliases (` + "`*name`" + `), merged mappings (` + "`<<`" + `), tags
  (` + "`!name`" + `) and a second document are mistakes.
* In the column ToolHive, "same" is a key that means the same there, "ours" one that ToolHive does not have; anything else is
  the difference.

## Keys

| key | kind | default | allowed | meaning | ToolHive |
| --- | --- | --- | --- | --- | --- |
`

const pageValues = `
A value of ` + "`headers` and `env`" + ` is a text, or a mapping with one key:

| key | meaning |
| --- | --- |
`

const pageLater = `
## Not in this version

These keys of ToolHive's are known. Each is a mistake unless it is empty or has ` + "`enabled: false`" + `. So is
a word that ToolHive takes where the table above does not list it:

`

const pageAudit = `
## The section audit

Its keys mean the same as the variables of [configuration.md](configuration.md), without the prefix and in camel case:
` + "`maxDataSize: 4KiB`" + ` is ` + "`VMCP_AUDIT_MAX_DATA_SIZE=4KiB`" + `, ` + "`hecUrl`" + ` is ` + "`VMCP_AUDIT_HEC_URL`" + `. Lists and mappings are written
as YAML has them. ToolHive's ` + "`enabled component eventTypes excludeEventTypes includeRequestData includeResponseData`" + `
and ` + "`maxDataSize`" + ` are among them; ` + "`enabled`" + ` is true unless the file says otherwise. A variable that
is set wins over its key; ` + "`vmcp-audit env --effective --config vmcp.yaml`" + ` shows what counts. Event types have our names
([toolhive.md](toolhive.md) has ToolHive's beside them). Secrets are given by their files (` + "`hecTokenFile`, `hashKeyFile`" + `) or by the
variables. A second destination of a kind (` + "`VMCP_AUDIT_HEC_2_...`" + `) is set by variables only, and so are ` + "`VMCP_AUDIT_UPSTREAM`" + `, which is for
another command, and ` + "`VMCP_AUDIT_UNKNOWN_ENV`" + `.

## Names

Back ends are taken in the order of ` + "`priorityOrder`" + ` where that is the strategy, else by name; the tools of one in the order in
which it lists them. The same lists always give the same names in the same order.

* Overrides come first, then filters, then the strategy. What is hidden has no part in conflicts; in ToolHive it has.
* A name that two entries would have after all that is shown of neither: with ` + "`{workload}_`" + `, the tool ` + "`b_c`" + ` of ` + "`a`" + ` and the
  tool ` + "`c`" + ` of ` + "`a_b`" + ` would both be ` + "`a_b_c`" + `. Such a name at the start is an error, later it is reported; ToolHive keeps
  one of the two. Back ends whose prefixes allow it are warned of.
* While a back end is lost, what it lists has no part in all this: under ` + "`priority`" + ` the next one has its names, and a name
  that was nobody's may be somebody's.
* A name that its back end lists twice counts once, the first time. A name that is empty, longer than 512 bytes or has
  characters that cannot be seen, and an entry whose ` + "`name`" + ` is there twice or in another case, or ` + "`description` or `annotations`" + `
  twice, is not shown.
* Prompts are named as tools are, without filters and overrides; under ` + "`manual`" + ` those that several back ends have get the
  prefix. ToolHive puts the prefix before every prompt but those of back ends in ` + "`priorityOrder`" + `.
* Resources and templates keep their URIs; of several back ends that have one, the first counts, as in ToolHive, where
  it is always the first by name.
* For names without any prefix use ` + "`manual`" + `, which here needs no overrides where nothing conflicts.

What happened to a name is in the trail: ` + "`none`, `prefix`, `priority`, `manual`" + ` (an override) or ` + "`first`" + ` (a URI); and for
what is not shown ` + "`excluded`, `filtered`, `outranked`, `ambiguous`, `duplicate` or `invalid`" + `.

## Without a file

` + "`--backend NAME=URL`" + ` and ` + "`--backend NAME=COMMAND`" + ` name back ends on the command line: an http or https URL is talked to over
streamable HTTP, or over HTTP+SSE if its server knows only that; anything else is a program with arguments, separated by spaces, with
quotes as in a shell; no shell reads it. Everything else is as in a file that says nothing more, except that the server is called as
` + "`VMCP_AUDIT_COMPONENT`" + ` says and the names of a single back end have no prefix. ` + "`--backend` does not go with `--config`; it goes before\n`VMCP_AUDIT_CONFIG`" + `. Such a program is given these of our variables and no others, in any case of letters:

%s
`

// WritePage writes the page docs/vmcp-config.md.
func WritePage(w io.Writer) error {
	var b bytes.Buffer
	b.WriteString(pageHead)
	for _, k := range Keys() {
		if !k.Later && !k.Operator {
			writeRow(&b, code(k.Path), k.Kind, code(k.Default), k.Allowed, k.Doc, compared(k))
		}
	}
	b.WriteString(pageValues)
	for _, k := range valueKeys {
		writeRow(&b, code(k.Path), k.Doc)
	}
	b.WriteString(pageLater)
	for _, k := range Keys() {
		switch {
		case k.Operator:
			fmt.Fprintf(&b, "* `%s`: for the Kubernetes operator\n", k.Path)
		case k.Later:
			fmt.Fprintf(&b, "* `%s`: %s\n", k.Path, k.Doc)
		}
	}
	fmt.Fprintf(&b, pageAudit, wrapped(inherited))
	_, err := w.Write(b.Bytes())
	return err
}

func writeRow(b *bytes.Buffer, cells ...string) {
	b.WriteString("|")
	for _, cell := range cells {
		b.WriteString(" " + strings.ReplaceAll(cell, "|", `\|`) + " |")
	}
	b.WriteString("\n")
}

func compared(k Key) string {
	switch k.ToolHive {
	case "":
		return "same"
	case "-":
		return "ours"
	}
	return k.ToolHive
}

func code(text string) string {
	if text == "" {
		return "-"
	}
	return "`" + text + "`"
}

// wrapped writes words in lines.
func wrapped(words []string) string {
	var b strings.Builder
	width := 0
	for i, w := range words {
		if width += len(w) + 3; width > 120 {
			b.WriteByte('\n')
			width = len(w) + 3
		} else if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(code(w))
	}
	return b.String()
}
