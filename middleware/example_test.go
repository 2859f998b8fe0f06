package middleware_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"

	"github.com/vmcp-audit/vmcp-audit/emitter"
	"github.com/vmcp-audit/vmcp-audit/emitter/config"
	"github.com/vmcp-audit/vmcp-audit/middleware"
)

// Example audits a handler as the environment says.
func Example() {
	log := slog.New(slog.DiscardHandler)
	mcpHandler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"jsonrpc":"2.0","id":1,"result":{}}`)
	})
	setUp := func() error {
		cfg, _, err := config.Load(os.Environ(), config.LoadOptions{Need: config.Need{Destination: true}})
		if err != nil {
			return err
		}
		to, err := config.Open(cfg, log)
		if err != nil {
			return err
		}
		em, err := emitter.New(cfg.Emitter("1.0", log), to.Routes...)
		if err != nil {
			return err
		}
		http.Handle("/mcp", middleware.HTTP(em, cfg.Middleware())(mcpHandler))
		return nil
	}

	file, err := os.CreateTemp("", "audit")
	if err != nil {
		panic(err)
	}
	defer os.Remove(file.Name())
	os.Setenv("VMCP_AUDIT_FILE_PATH", file.Name())
	if err := setUp(); err != nil {
		panic(err)
	}
	ping := strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"ping"}`)
	http.DefaultServeMux.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/mcp", ping))

	line, err := os.ReadFile(file.Name())
	if err != nil {
		panic(err)
	}
	e, err := emitter.Decode(line)
	if err != nil {
		panic(err)
	}
	fmt.Println(e.Type, e.Outcome)
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
