package config

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/vmcp-audit/vmcp-audit/emitter"
	"github.com/vmcp-audit/vmcp-audit/emitter/spool"
	"github.com/vmcp-audit/vmcp-audit/middleware"
)

// opened loads and opens what environ says, with a spool below dir.
func opened(t *testing.T, dir, text string) *Trail {
	t.Helper()
	c, _, err := Load(environ(text), LoadOptions{StateDir: dir, HostName: "gw-7c9f"})
	if err != nil {
		t.Fatal(err)
	}
	c.FlushTimeout = 5 * time.Minute // a slow machine is no fault
	trail, err := Open(c, "v9", nil)
	if err != nil {
		t.Fatal(err)
	}
	return trail
}

// through runs an emitter of trail, which is closed then, for events of the
// given types.
func through(t *testing.T, trail *Trail, types ...emitter.Type) emitter.Stats {
	t.Helper()
	em, err := trail.Emitter()
	if err != nil {
		t.Fatal(err)
	}
	for _, typ := range types {
		e := emitter.NewEvent(typ)
		e.Conclude(emitter.OutcomeSuccess, "")
		if err := em.Emit(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := em.Run(ctx); err != nil {
		t.Error(err)
	}
	s := em.Stats()
	if err := trail.Close(); err != nil {
		t.Error(err)
	}
	return s
}

// read returns the events of a file.
func read(t *testing.T, path string) (all []*emitter.Event) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		e, err := emitter.Decode([]byte(line))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, e)
	}
	return all
}

func TestOpen(t *testing.T) {
	dir := t.TempDir()
	one, two := filepath.Join(dir, "one"), filepath.Join(dir, "two")
	trail := opened(t, dir, "COMPONENT=gw INSTANCE=gw-1 EXCLUDE_EVENT_TYPES=mcp_ping FILE_PATH="+one+" FILE_2_PATH="+two+" FILE_2_FORMAT=compact FILE_2_NAME=people")
	s := through(t, trail, emitter.TypePing, emitter.TypeToolsList)
	if len(s.Routes) != 2 || s.Routes[1].Name != "people" || s.Routes[1].Pending != 0 {
		t.Errorf("routes %+v", s.Routes)
	}
	events := read(t, one)
	var types []emitter.Type
	for i, e := range events {
		types = append(types, e.Type)
		if e.Component != "gw" || e.Observer.Instance != "gw-1" || e.Observer.Version != "v9" || e.Integrity.Seq != uint64(i+1) {
			t.Errorf("event %s", e.Stored())
		}
	}
	want := []emitter.Type{emitter.TypeAuditConfig, emitter.TypeToolsList, emitter.TypeAuditStart, emitter.TypeAuditStop}
	if diff := cmp.Diff(want, types); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	if short, err := os.ReadFile(two); err != nil || len(short) == 0 || short[0] == '{' {
		t.Errorf("compact file %q, %v", short, err)
	}
}

func TestOpenAllOrNothing(t *testing.T) {
	dir := t.TempDir()
	c, _, err := Load(environ("FILE_PATH="+filepath.Join(dir, "a")+" FILE_2_PATH="+dir), LoadOptions{StateDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // the spool is given back
		if trail, err := Open(c, "", nil); err == nil || trail != nil || !strings.Contains(err.Error(), "destination file-2: ") {
			t.Errorf("opened a folder: %v", err)
		}
	}
}

func TestSpoolFolderMistakes(t *testing.T) {
	dir := t.TempDir()
	trail := opened(t, dir, "FILE_PATH=-")
	defer trail.Close()
	c := trail.cfg
	_, err := Open(c, "", nil)
	want := fmt.Sprintf("open spool: in use: %s, by process %d: each process needs its own VMCP_AUDIT_SPOOL_DIR", c.SpoolDir, os.Getpid())
	if !errors.Is(err, spool.ErrInUse) || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	c.SpoolDir = filepath.Join(dir, "file", "spool")
	writeFile(t, filepath.Join(dir, "file"), "")
	if _, err := Open(c, "", nil); err == nil || !strings.Contains(err.Error(), c.SpoolDir) || !strings.Contains(err.Error(), "VMCP_AUDIT_SPOOL_DIR") {
		t.Errorf("error %v", err)
	}
}

func TestDefaultSpoolDir(t *testing.T) {
	root := os.Geteuid() == 0
	tests := []struct {
		name, environ, root, other string
	}{
		{"systemd", "STATE_DIRECTORY=/var/lib/audit:/var/lib/b HOME=/h", "/var/lib/audit/spool", "/var/lib/audit/spool"},
		{"XDG", "XDG_STATE_HOME=/x HOME=/h", "/var/lib/vmcp-audit/spool", "/x/vmcp-audit/spool"},
		{"home", "XDG_STATE_HOME=relative HOME=/h", "/var/lib/vmcp-audit/spool", "/h/.local/state/vmcp-audit/spool"},
		{"nothing", "STATE_DIRECTORY=relative", "/var/lib/vmcp-audit/spool", ""},
	}
	for _, tt := range tests {
		c, _, err := Load(strings.Fields(tt.environ), LoadOptions{})
		want := tt.other
		if root {
			want = tt.root
		}
		if err != nil || c.SpoolDir != want {
			t.Errorf("%s: %q, %v, want %q", tt.name, c.SpoolDir, err, want)
		}
	}
	_, _, err := Load([]string{"VMCP_AUDIT_FILE_PATH=-"}, LoadOptions{Need: Need{Destination: true}})
	if (err == nil) != root {
		t.Errorf("no place for the spool: %v", err)
	}
}

// TestHashKey: the key of the folder is kept, and one that is set wins.
func TestHashKey(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "spool", keyFile)
	key := func(text string) string {
		trail := opened(t, dir, text)
		defer trail.Close()
		return string(trail.Middleware().Key)
	}
	first := key("FILE_PATH=-")
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 || len(first) != 64 {
		t.Fatalf("key %q, file %v, %v", first, info, err)
	}
	if again := key("FILE_PATH=-"); again != first {
		t.Errorf("another key after a new start: %q, %q", first, again)
	}
	if given := key("FILE_PATH=- HASH_KEY=" + canary); given != canary {
		t.Errorf("key %q", given)
	}
	writeFile(t, path, "short\n")
	if other := key("FILE_PATH=-"); other == first || len(other) != 64 {
		t.Errorf("key %q where the file is damaged", other)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	c, _, _ := Load(environ("FILE_PATH=-"), LoadOptions{StateDir: dir})
	if _, err := Open(c, "", nil); err == nil {
		t.Error("a key that cannot be read is no error")
	}
}

// TestConfigEvents: each start tells what was changed since the one before, and
// no secret.
func TestConfigEvents(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "audit.jsonl")
	steps := []struct {
		environ string
		want    []string // changed; nil: nothing to compare with
		enabled bool
	}{
		{"", nil, true},
		{"", []string{}, true},
		{"SPOOL_FULL=refuse HEARTBEAT=1m", []string{"HEARTBEAT", "SPOOL_FULL"}, true},
		{"SPOOL_FULL=refuse", []string{"HEARTBEAT"}, true},
		{"HASH_KEY=" + canary, []string{"HASH_KEY", "SPOOL_FULL"}, true},
		{"HASH_KEY=" + canary + canary, []string{}, true}, // a secret counts as set or not
		{"ENABLED=false FILE_2_PATH=- FILE_2_NAME=x", []string{"ENABLED", "FILE_2_FORMAT", "FILE_2_MAX_FILES", "FILE_2_MAX_SIZE", "FILE_2_NAME", "FILE_2_PATH", "HASH_KEY"}, false},
	}
	digests := map[string]bool{}
	for i, s := range steps {
		trail := opened(t, dir, s.environ+" FILE_PATH="+path)
		trail.Routes = trail.Routes[:1]
		through(t, trail)
		events := read(t, path)
		j := slices.IndexFunc(events, func(e *emitter.Event) bool { return e.Type == emitter.TypeAuditConfig && e.Integrity.Seq > uint64(3*i) })
		var got record
		if err := json.Unmarshal(events[j].Data.Request, &got); err != nil {
			t.Fatal(err)
		}
		digests[got.Digest] = true
		var names []string
		if s.want != nil {
			names = []string{}
		}
		for _, n := range s.want {
			names = append(names, Prefix+n)
		}
		if diff := cmp.Diff(record{Digest: got.Digest, Changed: names, Enabled: s.enabled}, got); diff != "" || len(got.Digest) != 71 {
			t.Errorf("start %d (-want +got):\n%s", i+1, diff)
		}
		kept, _ := os.ReadFile(filepath.Join(dir, "spool", recordFile))
		noCanary(t, recordFile, string(kept)+string(events[j].Stored()))
	}
	if len(digests) != 5 {
		t.Errorf("%d digests, want 5", len(digests))
	}
}

func TestEmitterOptions(t *testing.T) {
	tests := []struct {
		environ             string
		refuse              bool
		heartbeat, flushing string
	}{
		{"", false, "5m0s", "10s"},
		{"DURABILITY=strict HEARTBEAT=0s FLUSH_TIMEOUT=0s", true, "0s", "-1ns"},
		{"SPOOL_FULL=refuse", true, "5m0s", "10s"},
		{"SPOOL_FULL=drop-oldest", false, "5m0s", "10s"},
		{"ENABLED=false", false, "0s", "10s"},
	}
	for _, tt := range tests {
		c, _, err := Load(environ(tt.environ), plain)
		if err != nil {
			t.Fatal(err)
		}
		o := c.EmitterOptions("", nil)
		if o.Refuse != tt.refuse || o.Heartbeat.String() != tt.heartbeat || o.FlushTimeout.String() != tt.flushing {
			t.Errorf("%s: %+v", tt.environ, o)
		}
	}
}

// TestRefuse: where the spool is full, refuse says so before a call, and the
// event of a call that has run is dropped and told.
func TestRefuse(t *testing.T) {
	for _, policy := range []SpoolFull{Refuse, DropNewest, DropOldest} {
		t.Run(string(policy), func(t *testing.T) {
			trail := opened(t, t.TempDir(), "SPOOL_MAX_SIZE=1MiB SPOOL_FULL="+string(policy))
			defer trail.Close()
			em, err := trail.Emitter()
			if err != nil {
				t.Fatal(err)
			}
			failed := 0
			for i := range 3000 {
				e := emitter.NewEvent(emitter.TypePing)
				e.Conclude(emitter.OutcomeSuccess, "")
				e.Trace.JSONRPCID = strconv.Itoa(i) + strings.Repeat("x", 200)
				if em.Emit(t.Context(), e) != nil {
					failed++
				}
			}
			s := em.Stats().Spool
			if (em.Ready() != nil) != (policy == Refuse) || (failed > 0) != (policy != DropOldest) || (s.DroppedOldest > 0) != (policy == DropOldest) || s.Refused > 0 {
				t.Errorf("Ready %v, %d of 3000 failed, %+v", em.Ready(), failed, s)
			}
		})
	}
}

func TestMiddleware(t *testing.T) {
	trail := opened(t, t.TempDir(), "HASH_KEY="+canary+" DIGEST=sha256 PRIVILEGED_TOOLS=a* INCLUDE_REQUEST_DATA=true INCLUDE_RESPONSE_DATA=true MAX_DATA_SIZE=2KiB DURABILITY=strict FLOOD_LIMIT=0")
	defer trail.Close()
	want := middleware.Options{
		Key: []byte(canary), Digest: middleware.DigestSHA256, PrivilegedTools: []string{"a*"},
		RequestData: true, ResponseData: true, MaxData: 2048, Strict: true, FloodLimit: -1,
	}
	if diff := cmp.Diff(want, trail.Middleware(), cmpopts.IgnoreFields(want, "Log")); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}
