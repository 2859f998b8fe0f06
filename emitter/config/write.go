package config

import (
	"bytes"
	"fmt"
	"io"
	"strings"
)

const markdownHead = `<!-- Made from emitter/config by its WriteMarkdown; change the struct tags there. -->

# Configuration

Every setting is an environment variable. Where a command has a flag of the same name, the flag wins.

* Units stand in the value: ` + "`500`, `1KiB` (1024), `1kB` (1000), `64MiB`; `500ms`, `10s`, `2m`" + `.
* All mistakes are reported at once, one line each, and the exit code is 78.
* An empty value counts as not set where the default is empty; elsewhere it is a mistake.
* A name that begins with ` + "`" + Prefix + "`" + ` and is not listed here is a mistake; ` + "`" + Prefix + "UNKNOWN_ENV=warn`" + ` makes it a
  warning. Names that Kubernetes injects for a Service called vmcp-audit or vmcp-audit-... are ignored.
* A secret is given by its variable or by a file that ` + "`..._FILE`" + ` names, never both. The end of the file's last line does
  not count. No message shows a secret.

| variable | default | value | allowed | meaning |
| --- | --- | --- | --- | --- |
`

const markdownTail = `
## More than one destination

A destination is on when its address is set; a setting of a destination that is off is a mistake. A second destination of
a kind has a number after the kind, from 2 to %d, and the same settings:

` + "```sh" + `
` + Prefix + `HEC_URL=https://splunk-eu.example.com:8088
` + Prefix + `HEC_TOKEN_FILE=/run/secrets/splunk-eu
` + Prefix + `HEC_2_URL=https://splunk-us.example.com:8088
` + Prefix + `HEC_2_TOKEN_FILE=/run/secrets/splunk-us
` + "```" + `

The name of a destination is its kind and number (` + "`hec`, `hec-2`" + `) unless its ` + "`..._NAME`" + ` says otherwise. The spool
knows by the name how far a destination has come: under a new name it gets again what the spool still holds, and for one that
is not configured any more the spool keeps everything. A warning at the start names it; once the program has stopped,
` + "`cursors/NAME.cursor`" + ` in the spool folder can be deleted.

## What is read again

A token's file and the files of certificates and keys are read again when they change, the token's also when the token is
refused. Everything else needs a new start.

## The record of the configuration

At each start an ` + "`audit_config`" + ` event says in ` + "`data.request`" + ` what is in force:

` + "```json" + `
{"digest":"sha256:...","changed":["` + Prefix + `SPOOL_FULL"],"enabled":true}
` + "```" + `

` + "`digest`" + ` is over all settings, ` + "`changed`" + ` names those that were not so at the start before on the same spool, ` + "`null`" + `
without one. A secret counts as set or not, its value does not; a default that comes from the host's name does not count.
With ` + "`" + Prefix + "ENABLED=false`" + ` the event says so, calls leave none, and destinations are still given what was left in the
spool. Where no destination is set and there is no spool either, nothing is opened.
`

// WriteMarkdown writes the page docs/configuration.md.
func WriteMarkdown(w io.Writer) error {
	var b bytes.Buffer
	b.WriteString(markdownHead)
	for _, v := range Doc() {
		row := []string{code(v.Name), code(v.Default), v.Unit, v.Allowed + exampleText(v), v.Doc}
		b.WriteString("|")
		for _, cell := range row {
			b.WriteString(" " + strings.ReplaceAll(cell, "|", `\|`) + " |")
		}
		b.WriteString("\n")
	}
	fmt.Fprintf(&b, markdownTail, MaxDestinations)
	_, err := w.Write(b.Bytes())
	return err
}

func code(text string) string {
	if text == "" {
		return "-"
	}
	return "`" + text + "`"
}

func exampleText(v Variable) string { return "; such as " + code(v.Example) }

// WriteEnvExample writes the file .env.example: every variable, commented out,
// with its default or else an example. Secrets have no value there, so that
// nobody takes over one that is public.
func WriteEnvExample(w io.Writer) error {
	var b bytes.Buffer
	b.WriteString("# Settings of vmcp-audit. Made from emitter/config by its WriteEnvExample.\n")
	b.WriteString("# Take away the # before a name to set it.\n")
	for _, v := range Doc() {
		value := v.Default
		note := "default"
		if value == "" {
			value, note = v.Example, "example, no default"
		}
		if v.Secret {
			value, note = "", "no default"
		}
		fmt.Fprintf(&b, "\n# %s\n# %s; allowed: %s (%s)\n#%s=%s\n", v.Doc, v.Unit, v.Allowed, note, v.Name, value)
	}
	_, err := w.Write(b.Bytes())
	return err
}
