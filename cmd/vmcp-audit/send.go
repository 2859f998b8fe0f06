package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/vmcp-audit/vmcp-audit/emitter"
	"github.com/vmcp-audit/vmcp-audit/emitter/config"
	"github.com/vmcp-audit/vmcp-audit/emitter/spool"
)

const sendHelp = `Sends one test event to every destination that is set, each beside the others,
and shows what it answered. The event is marked: its target is vmcp-audit-test,
and observer.labels has test=true. It is the first and only one of a chain of
its own, so that it leaves no gap in that of a server which is running.`

// testTarget is the target of a test event.
const testTarget = "vmcp-audit-test"

// unreachableError is a destination that did not take an event.
type unreachableError struct{ error }

// destinationResult is what one destination has answered.
type destinationResult struct {
	Name        string `json:"name"`
	Destination string `json:"destination,omitempty"`
	OK          bool   `json:"ok"`
	Note        string `json:"note,omitempty"` // how far the far end has shown that it has the event
	DurationMS  int64  `json:"duration_ms"`
	Error       string `json:"error,omitempty"`
	Hint        string `json:"hint,omitempty"`
}

func (p *program) send() *cobra.Command {
	var sample, output string
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "send",
		Short: "one test event to every destination",
		Long:  sendHelp,
		Example: `  VMCP_AUDIT_HEC_URL=https://splunk.example.com:8088 VMCP_AUDIT_HEC_TOKEN_FILE=token vmcp-audit send
  vmcp-audit send --sample mcp_resource_read -o json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !slices.Contains(typeNames(), sample) {
				return usagef("--sample %s: no such type\nhint: docs/events.md lists them", printable(sample))
			}
			if timeout <= 0 {
				return usagef("--timeout %s: must be more than 0", timeout)
			}
			return p.runSend(cmd, sample, output, timeout)
		},
	}
	cmd.Flags().StringVar(&sample, "sample", string(emitter.TypeToolCall), "type of the event")
	_ = cmd.RegisterFlagCompletionFunc("sample", cobra.FixedCompletions(typeNames(), cobra.ShellCompDirectiveNoFileComp))
	cmd.Flags().DurationVar(&timeout, "timeout", 30*time.Second, "longest wait for each destination")
	outputFlag(cmd, &output, "text", "json")
	return cmd
}

func (p *program) runSend(cmd *cobra.Command, sample, output string, timeout time.Duration) error {
	cfg, log, err := p.load(cmd, config.Need{Destination: true})
	if err != nil {
		return err
	}
	trail, err := config.OpenDestinations(cfg, log)
	if err != nil {
		return err
	}
	defer func() { _ = trail.Close() }() // Send has told what there was to tell
	if len(trail.Routes) == 0 {
		return usagef("no destination is set\nhint: set %sFILE_PATH, %[1]sHEC_URL or %[1]sSYSLOG_ADDR", config.Prefix)
	}
	records, id, err := testRecords(cmd.Context(), cfg, sample, trail.Routes)
	if err != nil {
		return err
	}
	results := make([]destinationResult, len(records))
	var wg sync.WaitGroup
	for i, r := range trail.Routes {
		wg.Go(func() { results[i] = sendOne(cmd.Context(), r, records[i], timeout) })
	}
	wg.Wait()
	if output == "json" {
		err = p.printJSON(map[string]any{"audit_id": id, "type": sample, "destinations": results})
	} else {
		fmt.Fprintf(p.stdout, "test event %s of type %s\n", id, sample)
		err = p.printResults(results)
	}
	if err != nil {
		return err
	}
	if n := countFailed(results); n > 0 {
		return unreachableError{fmt.Errorf("%d of %d destinations did not take the event", n, len(results))}
	}
	return nil
}

// testRecords takes one event through a spool of its own and renders it for each
// route.
func testRecords(ctx context.Context, cfg config.Config, sample string, routes []emitter.Route) (records []emitter.Record, id string, err error) {
	dir, err := os.MkdirTemp("", "vmcp-audit-send-")
	if err != nil {
		return nil, "", err
	}
	defer func() { _ = os.RemoveAll(dir) }() // in the folder of what may be removed
	sp, err := spool.Open(dir, spool.Options{MinFree: -1})
	if err != nil {
		return nil, "", err
	}
	defer func() { _ = sp.Close() }() // it is removed
	em, err := emitter.New(sp, emitter.Options{Component: cfg.Component})
	if err != nil {
		return nil, "", err
	}
	if err := em.Emit(ctx, testEvent(cfg, sample)); err != nil {
		return nil, "", err
	}
	c, err := sp.Cursor("send")
	if err != nil {
		return nil, "", err
	}
	batch, err := c.Next(ctx, spool.Limits{})
	if err != nil {
		return nil, "", err
	}
	e, err := emitter.Decode(batch[0].Payload)
	if err != nil {
		return nil, "", err
	}
	e.Integrity = emitter.IntegrityOf(sp.Stream(), &batch[0])
	for _, r := range routes {
		format := r.Format
		if format == nil {
			format = emitter.AppendStored
		}
		records = append(records, emitter.Record{Seq: batch[0].Seq, ID: e.AuditID, Time: e.LoggedAt, Body: format(nil, e)})
	}
	return records, e.AuditID, nil
}

// testEvent returns an event that nobody takes for a true one.
func testEvent(cfg config.Config, sample string) *emitter.Event {
	e := emitter.NewEvent(emitter.Type(sample))
	e.Conclude(emitter.OutcomeSuccess, "")
	e.Target.Name = testTarget
	labels := map[string]string{"test": "true"}
	for _, k := range slices.Sorted(maps.Keys(cfg.Labels)) {
		if _, taken := labels[k]; !taken && len(labels) < config.MaxLabels {
			labels[k] = cfg.Labels[k]
		}
	}
	e.Observer = emitter.Observer{Host: cfg.Host, Instance: cfg.Instance, Version: version().Version, Labels: labels}
	return e
}

func sendOne(ctx context.Context, r emitter.Route, record emitter.Record, timeout time.Duration) destinationResult {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	result := destinationResult{Name: r.Name}
	begin := time.Now()
	n, err := emitter.Confirming(r.Sink).Send(ctx, []emitter.Record{record})
	if n == 0 && err == nil {
		err = errors.New("the event was not taken")
	}
	result.describe(r.Sink)
	result.conclude(err, begin)
	return result
}

// describe notes what a sink says of itself.
func (r *destinationResult) describe(sink emitter.Sink) {
	if s, ok := sink.(fmt.Stringer); ok {
		r.Destination = s.String()
	}
	if s, ok := sink.(interface{ Receipt() string }); ok {
		r.Note = s.Receipt()
	}
}

// conclude notes what came out and how long it took.
func (r *destinationResult) conclude(err error, begin time.Time) {
	r.DurationMS = time.Since(begin).Milliseconds()
	if r.OK = err == nil; r.OK {
		return
	}
	r.Error, r.Hint, r.Note = err.Error(), hintOf(r.Destination, err), ""
}

// hintOf says what to look at where the destination itself said nothing.
func hintOf(destination string, err error) string {
	kind, _, _ := strings.Cut(destination, " ")
	switch {
	case errors.Is(err, context.DeadlineExceeded) && kind == "hec":
		return "no answer in time, or no acknowledgement, for which an indexer may take minutes: --timeout waits longer"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "nobody listens there: check host and port"
	}
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		return "check the host name"
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return config.Prefix + strings.ToUpper(kind) + "_CA_FILE names the certificates to trust"
	}
	return ""
}

func countFailed(results []destinationResult) (n int) {
	for _, r := range results {
		if !r.OK {
			n++
		}
	}
	return n
}

func (p *program) printResults(results []destinationResult) error {
	w := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
	for _, r := range results {
		words := fmt.Sprintf("ok\t%s %dms", r.Destination, r.DurationMS)
		if !r.OK {
			words = "failed\t" + printable(r.Error)
		}
		fmt.Fprintf(w, "%s\t%s\n", r.Name, words)
		if r.Note != "" {
			fmt.Fprintf(w, "\t\t%s\n", r.Note)
		}
		if r.Hint != "" {
			fmt.Fprintf(w, "\t\thint: %s\n", r.Hint)
		}
	}
	return w.Flush()
}
