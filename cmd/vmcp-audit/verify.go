package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/vmcp-audit/vmcp-audit/emitter/chain"
	"github.com/vmcp-audit/vmcp-audit/emitter/spool"
)

const verifyHelp = `Checks the hash chain of a trail, offline: that no record was changed, moved,
added or taken out between the first and the last one.

Several files are one trail, oldest first. A FILE of - is stdin; DIR is the
folder of a spool, which may be in use. One line for each stream goes to stdout,
one for each problem to stderr, in the order of the trail. Holes that an
audit_loss event names are listed and are no problem.

There is no key in the chain: who can write the whole trail can compute all
hashes anew. The SIEM has the hash of every event; name one of the last with
--expect, and such a rewrite is found. What is cut off at the end is found in
the same way only. See docs/chain.md.

Exit codes: 0 nothing wrong, 1 a problem or nothing to verify, 2 usage.`

// verifyOptions are the flags of verify.
type verifyOptions struct {
	expect []string
	limit  int
	output string
}

func (p *program) verify() *cobra.Command {
	var o verifyOptions
	cmd := &cobra.Command{
		Use:   "verify FILE...|DIR",
		Short: "check that a trail is whole and unchanged",
		Long:  verifyHelp,
		Example: `  vmcp-audit verify audit.jsonl.2 audit.jsonl.1 audit.jsonl
  vmcp-audit verify --expect 4711:HASH audit.jsonl
  vmcp-audit verify -o json /var/lib/vmcp-audit/spool`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usagef("verify needs a file or the folder of a spool\nhint: vmcp-audit verify --help")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return p.runVerify(cmd.Context(), args, o) },
	}
	cmd.Flags().StringArrayVar(&o.expect, "expect", nil, "SEQ:HASH of a record that must be there; may be repeated")
	cmd.Flags().IntVar(&o.limit, "limit", chain.DefaultLimit, "how many problems and named gaps to list")
	outputFlag(cmd, &o.output, "text", "json")
	return cmd
}

func (p *program) runVerify(ctx context.Context, args []string, o verifyOptions) error {
	if o.limit < 1 {
		return usagef("--limit %d: must be at least 1", o.limit)
	}
	v := &chain.Verifier{Limit: o.limit}
	for _, e := range o.expect {
		seq, hash, err := parseExpected(e)
		if err != nil {
			return err
		}
		v.Expect(seq, hash)
	}
	for _, path := range args {
		if err := p.verifyPath(ctx, v, path, len(args) == 1); err != nil {
			return err
		}
	}
	r := v.Report()
	if o.output == "json" {
		if err := p.printJSON(struct {
			OK bool `json:"ok"`
			*chain.Report
		}{r.OK(), r}); err != nil {
			return err
		}
	} else {
		p.printReport(r)
	}
	return verdict(r, len(args))
}

// verdict returns what the report of a trail of so many files comes to.
func verdict(r *chain.Report, files int) error {
	hint := ""
	if files > 1 && slices.ContainsFunc(r.Problems, func(p chain.Problem) bool { return p.Kind == chain.Moved }) {
		hint = "\nhint: name the files of a trail oldest first"
	}
	switch {
	case r.Failed > len(r.Problems):
		return fmt.Errorf("%d problems, the first %d are listed%s", r.Failed, len(r.Problems), hint)
	case r.Failed > 0:
		return fmt.Errorf("problems found: %d%s", r.Failed, hint)
	case !r.OK():
		return errors.New("nothing to verify: there is no record")
	}
	return nil
}

func parseExpected(s string) (seq uint64, hash spool.Hash, err error) {
	number, text, _ := strings.Cut(s, ":")
	seq, err = strconv.ParseUint(number, 10, 64)
	sum, bad := hex.DecodeString(text)
	if err != nil || bad != nil || seq == 0 || len(sum) != len(hash) {
		return 0, hash, usagef("--expect %s: must be SEQ:HASH, integrity.seq and integrity.hash of an event", printable(s))
	}
	return seq, spool.Hash(sum), nil
}

// verifyPath adds a file, or the spool that is the only argument, to the trail.
func (p *program) verifyPath(ctx context.Context, v *chain.Verifier, path string, only bool) error {
	if info, err := os.Stat(path); path != "-" && err == nil && info.IsDir() {
		if !only {
			return usagef("%s is a folder: a spool is verified by itself\nhint: vmcp-audit verify --help", printable(path))
		}
		return verifySpool(ctx, v, path)
	}
	in, err := p.openInput(ctx, path)
	if err != nil {
		return err
	}
	defer in.Close()
	lines, err := v.Lines(ctx, path, in)
	if err == nil && lines == 0 {
		fmt.Fprintf(p.stderr, "vmcp-audit: %s is empty\n", printable(path))
	}
	return err
}

func verifySpool(ctx context.Context, v *chain.Verifier, dir string) error {
	l, err := spool.OpenLog(dir)
	if err != nil {
		return spoolError(dir, err)
	}
	return v.Spool(ctx, dir, l)
}

// printReport prints what is wrong to stderr and what there is to stdout.
func (p *program) printReport(r *chain.Report) {
	for i := range r.Problems {
		fmt.Fprintln(p.stderr, "vmcp-audit:", printable(r.Problems[i].String()))
	}
	for _, at := range r.Torn {
		fmt.Fprintln(p.stderr, "vmcp-audit:", printable(at.String()+": a write was cut short here, which is no problem"))
	}
	gaps, loose := uint64(0), r.Failed // problems that are not those of one stream
	for i := range r.Streams {
		gaps, loose = gaps+r.Streams[i].Gaps, loose-r.Streams[i].Failed
	}
	for i := range r.Streams {
		s := &r.Streams[i]
		word, note := "ok", ""
		if s.Failed+loose > 0 {
			word = "failed"
		}
		if s.First > 1 {
			note = fmt.Sprintf(", begins at seq %d", s.First)
		}
		fmt.Fprintf(p.stdout, "%s: stream %s, seqs %d to %d, %d records, %d named gaps, %d duplicates%s, head %d:%s\n",
			word, s.ID, s.First, s.Last, s.Records, s.Gaps, s.Duplicates, note, s.Last, s.Head)
	}
	for i := range r.Gaps {
		fmt.Fprintln(p.stdout, printable("gap: "+r.Gaps[i].String()))
	}
	if n := uint64(len(r.Gaps)); gaps > n {
		fmt.Fprintf(p.stdout, "gap: and %d more\n", gaps-n)
	}
}
