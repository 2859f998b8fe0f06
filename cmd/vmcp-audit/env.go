package main

import (
	"cmp"
	"fmt"
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
  VMCP_AUDIT_FILE_PATH=- vmcp-audit env --effective`,
		Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			if effective {
				return p.printEffective(output)
			}
			return p.printVariables(output)
		},
	}
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

func (p *program) printEffective(output string) error {
	values, err := config.Effective(p.environ, config.LoadOptions{Known: typeNames()})
	if err != nil {
		return err
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
