package config

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"

	"github.com/vmcp-audit/vmcp-audit/emitter"
	"github.com/vmcp-audit/vmcp-audit/emitter/spool"
)

// Files that this package keeps in the spool's folder.
const (
	keyFile    = "hash.key"    // what HASH_KEY would be
	recordFile = "config.json" // a record, to compare the next start with
)

// hashKey returns the key of the spool's folder, and makes one if there is none.
func hashKey(s *spool.Spool, log *slog.Logger) ([]byte, error) {
	b, err := os.ReadFile(filepath.Join(s.Dir(), keyFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read hash key: %w", err)
	}
	if key := bytes.TrimSpace(b); len(key) >= MinHashKey {
		return key, nil
	}
	if err == nil {
		log.Warn("the hash key was damaged and is made anew: digests do not join those before", "dir", s.Dir())
	}
	random := make([]byte, sha256.Size)
	_, _ = rand.Read(random) // never fails
	key := hex.AppendEncode(nil, random)
	if err := s.SetAside("", keyFile, append(slices.Clip(key), '\n')); err != nil {
		log.Error("the hash key cannot be kept: digests will not join those after the next start", "error", err)
	}
	return key, nil
}

// record is what an audit_config event tells, and what the next start compares
// itself with.
type record struct {
	Digest  string            `json:"digest"`  // of all values, as "NAME=value\n"
	Changed []string          `json:"changed"` // variables that are not as they were; null: nothing to compare with
	Enabled bool              `json:"enabled"`
	Values  map[string]string `json:"values,omitempty"` // digest of each
	Quota   int64             `json:"quota,omitempty"`  // SPOOL_MAX_SIZE in bytes, for who looks at the spool; not in the event
}

// recordOf returns the record of c. A secret counts as set or not; what comes
// from the host's name is no configuration.
func recordOf(c Config) record {
	r := record{Enabled: c.Enabled, Values: make(map[string]string), Quota: int64(c.SpoolMax)}
	all := sha256.New()
	for _, v := range c.values {
		if v.From == fromHostName {
			continue
		}
		line := v.Name + "=" + v.Value + "\n"
		all.Write([]byte(line))
		sum := sha256.Sum256([]byte(line))
		r.Values[v.Name] = hex.EncodeToString(sum[:])
	}
	r.Digest = "sha256:" + hex.EncodeToString(all.Sum(nil))
	return r
}

// SpoolQuota returns the SPOOL_MAX_SIZE, in bytes, that the process which last
// wrote to the spool in dir had; false if that is not known.
func SpoolQuota(dir string) (int64, bool) {
	var r record
	b, err := os.ReadFile(filepath.Join(dir, recordFile))
	if err != nil || json.Unmarshal(b, &r) != nil || r.Quota <= 0 {
		return 0, false
	}
	return r.Quota, true
}

// compare sets Changed.
func (r *record) compare(before record) {
	r.Changed = []string{}
	both := make(map[string]bool)
	for name := range before.Values {
		both[name] = true
	}
	for name := range r.Values {
		both[name] = true
	}
	for _, name := range sortedKeys(both) {
		if r.Values[name] != before.Values[name] {
			r.Changed = append(r.Changed, name)
		}
	}
}

// record emits an audit_config event, and keeps what it says for the next start
// if it could be stored.
func (t *Trail) record(em *emitter.Emitter) {
	now := recordOf(t.cfg)
	var before record
	if b, err := os.ReadFile(filepath.Join(t.Spool.Dir(), recordFile)); err == nil && json.Unmarshal(b, &before) == nil && before.Values != nil {
		now.compare(before)
	}
	kept, _ := json.Marshal(now) // strings always can
	quota := now.Quota
	now.Values, now.Quota = nil, 0
	e := emitter.NewEvent(emitter.TypeAuditConfig)
	e.Conclude(emitter.OutcomeSuccess, "")
	e.Data.Request, _ = json.Marshal(now)
	err := em.Emit(context.Background(), e)
	if err == nil && (now.Changed == nil || len(now.Changed) > 0 || before.Quota != quota) {
		err = t.Spool.SetAside("", recordFile, kept)
	}
	if err != nil {
		t.opt.Log.Error("the configuration cannot be recorded; the next start tells it", "error", err)
	}
}
