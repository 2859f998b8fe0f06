package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/vmcp-audit/vmcp-audit/emitter"
)

// release is set by the build of a release.
var release string

// build says what this binary is.
type build struct {
	Version string `json:"version"`
	Commit  string `json:"commit,omitempty"`
	Go      string `json:"go"`
	Schema  string `json:"schema"` // of the events
}

func version() build {
	b := build{Version: release, Go: runtime.Version(), Schema: emitter.SchemaVersion}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			b.Commit = s.Value
		}
	}
	if b.Version == "" {
		b.Version = "devel"
		if v := info.Main.Version; v != "" && v != "(devel)" {
			b.Version = v
		}
	}
	return b
}

func (p *program) version() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:     "version",
		Short:   "version of the program, of Go and of the events",
		Example: "  vmcp-audit version -o json",
		Args:    noArgs,
		RunE: func(*cobra.Command, []string) error {
			v := version()
			if output == "json" {
				return p.printJSON(v)
			}
			_, err := fmt.Fprintf(p.stdout, "vmcp-audit %s, %s, event schema %s\n", v.Version, v.Go, v.Schema)
			return err
		},
	}
	outputFlag(cmd, &output, "text", "json")
	return cmd
}
