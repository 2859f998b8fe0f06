package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/vmcp-audit/vmcp-audit/emitter/config"
)

func (p *program) env() *cobra.Command {
	var effective bool
	var output string
	cmd := &cobra.Command{
		Use:   "env",
		Short: "every variable, or the values in force",
		Example: `  vmcp-audit env
  VMCP_AUDIT_FILE_PATH=- vmcp-audit env --effective
  vmcp-audit env --effective --config vmcp.yaml`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case effective:
				return p.printEffective(cmd, output)
			case cmd.Flags().Changed(configFlag):
				return usagef("--config goes with --effective: the variables are the same for every file")
			}
			return p.printVariables(output)
		},
	}
	addConfigFlag(cmd)
	cmd.Flags().BoolVar(&effective, "effective", false, "show the values in force and where they come from; secrets are not shown")
	outputFlag(cmd, &output, "text", "json")
	return cmd
}

func (p *program) printVariables(output string) error {
	vars := config.Doc()
	if output == "json" {
		return p.printJSON(vars)
	}
	w := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "VARIABLE\tDEFAULT\tUNIT\tMEANING")
	for _, v := range vars {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", v.Name, cmp.Or(v.Default, "-"), v.Unit, v.Doc)
	}
	return w.Flush()
}

func (p *program) printEffective(cmd *cobra.Command, output string) error {
	path := p.configFile(cmd)
	var file []string // NAME=value of what it sets
	if path != "" {
		c, _, err := p.readConfig(path)
		if err != nil {
			return err
		}
		file = c.Audit
	}
	values, err := config.Effective(p.environ, config.LoadOptions{Known: typeNames()})
	if err != nil {
		return err
	}
	for i, v := range values {
		if slices.ContainsFunc(file, func(pair string) bool { return strings.HasPrefix(pair, v.Name+"=") }) {
			values[i].Source, values[i].From = config.SourceFile, printable(path)
		}
	}
	if output == "json" {
		return p.printJSON(values)
	}
	w := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "VARIABLE\tVALUE\tFROM")
	for _, v := range values {
		fmt.Fprintf(w, "%s\t%s\t%s\n", v.Name, printable(cmp.Or(v.Value, "-")), v.Source)
	}
	return w.Flush()
}
