package config

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/vmcp-audit/vmcp-audit/emitter"
)

func TestOpen(t *testing.T) {
	dir := t.TempDir()
	one, two := filepath.Join(dir, "one"), filepath.Join(dir, "two")
	c, _, err := Load([]string{
		"VMCP_AUDIT_FILE_PATH=" + one, "VMCP_AUDIT_FILE_2_PATH=" + two, "VMCP_AUDIT_FILE_2_FORMAT=compact", "VMCP_AUDIT_FILE_2_NAME=people",
		"VMCP_AUDIT_COMPONENT=gw", "VMCP_AUDIT_INSTANCE=gw-1", "VMCP_AUDIT_EXCLUDE_EVENT_TYPES=mcp_ping",
	}, LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	to, err := Open(c, nil)
	if err != nil {
		t.Fatal(err)
	}
	em, err := emitter.New(c.Emitter("v9", nil), to.Routes...)
	if err != nil {
		t.Fatal(err)
	}
	for _, typ := range []emitter.Type{emitter.TypePing, emitter.TypeToolsList} {
		e := emitter.NewEvent(typ)
		e.Conclude(emitter.OutcomeSuccess, "")
		if err := em.Emit(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	line, err := os.ReadFile(one)
	if err != nil {
		t.Fatal(err)
	}
	e, err := emitter.Decode(line)
	if err != nil {
		t.Fatal(err)
	}
	if e.Type != emitter.TypeToolsList || e.Component != "gw" || e.Observer.Instance != "gw-1" || e.Observer.Version != "v9" {
		t.Errorf("event %s", line)
	}
	if short, err := os.ReadFile(two); err != nil || len(short) == 0 || short[0] == '{' {
		t.Errorf("compact file %q, %v", short, err)
	}
	if s := em.Stats(); len(s.Routes) != 2 || s.Routes[1].Name != "people" {
		t.Errorf("routes %+v", s.Routes)
	}
	if err := to.Close(); err != nil {
		t.Error(err)
	}
}

func TestOpenAllOrNothing(t *testing.T) {
	dir := t.TempDir()
	c, _, err := Load([]string{"VMCP_AUDIT_FILE_PATH=" + filepath.Join(dir, "a"), "VMCP_AUDIT_FILE_2_PATH=" + dir}, LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if to, err := Open(c, nil); err == nil || to != nil {
		t.Errorf("opened a folder: %v", err)
	}
}
