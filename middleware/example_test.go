package middleware_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"

	"github.com/vmcp-audit/vmcp-audit/emitter"
	"github.com/vmcp-audit/vmcp-audit/emitter/config"
	"github.com/vmcp-audit/vmcp-audit/middleware"
)

// Example audits a handler as the environment says, until ctx ends.
func Example() {
	log := slog.New(slog.DiscardHandler)
	mcpHandler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"jsonrpc":"2.0","id":1,"result":{}}`)
	})
	ready := make(chan struct{})
	audit := func(ctx context.Context) error {
		cfg, _, err := config.Load(os.Environ(), config.LoadOptions{Need: config.Need{Destination: true}})
		if err != nil {
			return err
		}
		trail, err := config.Open(cfg, "1.0", log) // the spool and the destinations
		if err != nil {
			return err
		}
		em, err := trail.Emitter()
		if err != nil {
			return errors.Join(err, trail.Close())
		}
		http.Handle("/mcp", middleware.HTTP(em, trail.Middleware())(mcpHandler))
		close(ready)
		return errors.Join(em.Run(ctx), trail.Close()) // delivers until ctx ends, which is after the server has
	}

	dir, err := os.MkdirTemp("", "audit")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "audit.jsonl")
	os.Setenv("VMCP_AUDIT_FILE_PATH", file)
	os.Setenv("VMCP_AUDIT_SPOOL_DIR", filepath.Join(dir, "spool"))
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- audit(ctx) }()
	select {
	case <-ready:
	case err := <-ended:
		panic(err)
	}
	ping := strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"ping"}`)
	http.DefaultServeMux.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/mcp", ping))
	stop()
	if err := <-ended; err != nil {
		panic(err)
	}

	lines, err := os.ReadFile(file)
	if err != nil {
		panic(err)
	}
	for line := range strings.Lines(string(lines)) {
		e, err := emitter.Decode([]byte(line))
		if err != nil {
			panic(err)
		}
		if !strings.HasPrefix(string(e.Type), "audit_") { // what the audit says of itself
			fmt.Println(e.Type, e.Outcome)
		}
	}
	// Output: mcp_ping success
}

// ExampleNoteFrom tells the event of a request who called.
func ExampleNoteFrom() {
	authenticate := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			middleware.NoteFrom(r.Context()).SetSubject(emitter.Subject{Type: "user", User: "alice"})
			next.ServeHTTP(w, r)
		})
	}
	_ = middleware.HTTP(nil, middleware.Options{})(authenticate(http.NotFoundHandler()))
}
