package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/vmcp-audit/vmcp-audit/emitter/config"
)

// Exit codes, as in sysexits.h where it has one.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2
	exitUnreachable = 69
	exitConfig      = 78
)

// program is what the commands share.
type program struct {
	name           string // as the user called it
	environ        []string
	stdin          io.Reader
	stdout, stderr io.Writer
}

// run runs the command that args, beginning with the program's name, say, and
// returns its exit code.
func run(ctx context.Context, args, environ []string, stdin io.Reader, stdout, stderr io.Writer) int {
	p := &program{name: args[0], environ: environ, stdin: stdin, stdout: stdout, stderr: stderr}
	root := p.root()
	root.SetArgs(args[1:])
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	for line := range strings.Lines(err.Error()) {
		fmt.Fprintln(stderr, "vmcp-audit:", printable(strings.TrimRight(line, "\n")))
	}
	return exitCode(err)
}

func exitCode(err error) int {
	if _, ok := errors.AsType[*config.Error](err); ok {
		return exitConfig
	}
	if _, ok := errors.AsType[configError](err); ok {
		return exitConfig
	}
	if _, ok := errors.AsType[usageError](err); ok {
		return exitUsage
	}
	if _, ok := errors.AsType[unreachableError](err); ok {
		return exitUnreachable
	}
	if _, ok := errors.AsType[*config.DestinationError](err); ok {
		return exitUnreachable // what is wrong with the settings is a config.Error
	}
	return exitFailed
}

// configError is a file of the virtual server that is wrong, or what it asks for
// of back ends that cannot be.
type configError struct{ error }

// usageError is a command line that makes no sense.
type usageError struct{ error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

const rootHelp = `vmcp-audit makes one true audit event of every MCP operation.

Configured by environment variables that begin with VMCP_AUDIT_; flags win.
'vmcp-audit env' lists them. A destination is on when its address is set, e.g.
VMCP_AUDIT_FILE_PATH (a path of - is stdout), VMCP_AUDIT_HEC_URL or
VMCP_AUDIT_SYSLOG_ADDR. Events wait for it in the folder VMCP_AUDIT_SPOOL_DIR,
of which each process has its own.

Exit codes: 0 ok, 1 failed, 2 usage, 69 a destination cannot be reached,
78 configuration wrong.`

func (p *program) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "vmcp-audit",
		Short: "the audit emitter for virtual MCP servers",
		Long:  rootHelp,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("unknown command %q\nhint: vmcp-audit --help", args[0])
			}
			return nil
		},
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.AddCommand(p.serve(), p.proxy(), p.ship(), p.send(), p.validate(), p.tail(), p.convert(), p.spool(),
		p.verify(), p.env(), p.version())
	return root
}

func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usagef("%s takes no argument %q\nhint: %s --help", cmd.CommandPath(), args[0], cmd.CommandPath())
	}
	return nil
}

// printable shows s as it is, or quoted if a terminal could be led astray. One
// that does not know UTF-8 takes the byte 0x9b for the begin of a command.
func printable(s string) string {
	for _, r := range s {
		if !strconv.IsPrint(r) || r == utf8.RuneError {
			return strconv.Quote(s)
		}
	}
	return s
}
