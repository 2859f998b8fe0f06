package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// choice is a flag that takes one of a few words.
type choice struct {
	value *string
	words []string
}

func (c choice) String() string { return *c.value }
func (c choice) Type() string   { return strings.Join(c.words, "|") }
func (c choice) Set(v string) error {
	if !slices.Contains(c.words, v) {
		return fmt.Errorf("must be one of %s", strings.Join(c.words, ", "))
	}
	*c.value = v
	return nil
}

// choiceFlag adds a flag whose default is the first of words.
func choiceFlag(cmd *cobra.Command, to *string, name, short, help string, words ...string) {
	*to = words[0]
	cmd.Flags().VarP(choice{to, words}, name, short, help)
	_ = cmd.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp))
}

func outputFlag(cmd *cobra.Command, to *string, words ...string) {
	choiceFlag(cmd, to, "output", "o", "what the output looks like", words...)
}

func (p *program) printJSON(v any) error {
	enc := json.NewEncoder(p.stdout)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// variableOf returns the variable, without its prefix, that a flag stands for.
func variableOf(flag string) string {
	return strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}
