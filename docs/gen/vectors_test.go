package main

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// hashOf computes a link from docs/chain.md, with nothing of ours.
func hashOf(t *testing.T, stream, prev, seq, payload string) string {
	t.Helper()
	unhex := func(s string) []byte {
		b, err := hex.DecodeString(strings.ReplaceAll(s, "-", ""))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	n, err := strconv.ParseUint(seq, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	b := []byte("vmcp-audit/1")
	b = append(b, unhex(stream)...)
	b = append(b, unhex(prev)...)
	b = binary.BigEndian.AppendUint64(b, n)
	b = append(b, payload...)
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

func TestVectors(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(root, "docs/chain-vectors.json"))
	if err != nil {
		t.Fatal(err)
	}
	var v vectors
	if err := json.Unmarshal(page, &v); err != nil {
		t.Fatal(err)
	}
	if len(v.Links) < 4 || len(v.Trail) < 6 {
		t.Fatalf("%d links, %d lines", len(v.Links), len(v.Trail))
	}
	for _, l := range v.Links {
		if got := hashOf(t, l.Stream, l.Prev, l.Seq, l.Payload); got != l.Hash {
			t.Errorf("seq %s: hash %s, stated is %s", l.Seq, got, l.Hash)
		}
	}
	ending := regexp.MustCompile(`^(.*),"integrity":\{"stream":"(.*?)","seq":(\d+),"prev":"(.*?)","hash":"(.*?)"\}\}$`)
	schema, err := jsonschema.NewCompiler().Compile(filepath.Join(root, "docs/schema/event-1.0.json"))
	if err != nil {
		t.Fatal(err)
	}
	heads := map[string]string{}
	for _, line := range v.Trail {
		m := ending.FindStringSubmatch(line)
		if m == nil {
			t.Fatalf("no record: %s", line)
		}
		if got := hashOf(t, m[2], m[4], m[3], m[1]+"}"); got != m[5] {
			t.Errorf("hash %s in %s", got, line)
		}
		want := heads[m[2]]
		if want == "" {
			want = strings.Repeat("0", 64)
		}
		if m[4] != want {
			t.Errorf("prev %s, want %s", m[4], want)
		}
		heads[m[2]] = m[5]
		event, err := jsonschema.UnmarshalJSON(strings.NewReader(line))
		if err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(event); err != nil {
			t.Errorf("%s: %v", line, err)
		}
	}
}
