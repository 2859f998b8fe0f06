package config

import (
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/caarlos0/env/v11"
	"github.com/google/go-cmp/cmp"
)

// TestTags fails for a field that is not documented in full.
func TestTags(t *testing.T) {
	for _, typ := range []reflect.Type{reflect.TypeFor[Config](), reflect.TypeFor[FileDestination](), reflect.TypeFor[HECDestination](), reflect.TypeFor[SyslogDestination]()} {
		for f := range typ.Fields() {
			if f.Anonymous {
				t.Errorf("%s.%s is embedded", typ, f.Name)
			}
			if f.Tag.Get("group") != "" || f.Tag.Get("env") == "-" || !f.IsExported() {
				continue
			}
			for _, tag := range []string{"env", "unit", "doc", "example"} {
				if f.Tag.Get(tag) == "" {
					t.Errorf("%s.%s has no tag %s", typ, f.Name, tag)
				}
			}
			if (f.Tag.Get("allowed") == "") == (f.Tag.Get("oneof") == "") {
				t.Errorf("%s.%s needs one of the tags allowed and oneof", typ, f.Name)
			}
			if _, options, has := strings.Cut(f.Tag.Get("env"), ","); has {
				t.Errorf("%s.%s has env options %q, which Load does not know", typ, f.Name, options)
			}
		}
	}
}

// TestDocAgreesWithEnv compares our reading of the tags with caarlos0/env's.
func TestDocAgreesWithEnv(t *testing.T) {
	config, err := env.GetFieldParamsWithOptions(&Config{}, env.Options{Prefix: Prefix})
	if err != nil {
		t.Fatal(err)
	}
	file, err := env.GetFieldParamsWithOptions(&FileDestination{}, env.Options{Prefix: Prefix + "FILE_"})
	if err != nil {
		t.Fatal(err)
	}
	collector, err := env.GetFieldParamsWithOptions(&HECDestination{}, env.Options{Prefix: Prefix + "HEC_"})
	if err != nil {
		t.Fatal(err)
	}
	receiver, err := env.GetFieldParamsWithOptions(&SyslogDestination{}, env.Options{Prefix: Prefix + "SYSLOG_"})
	if err != nil {
		t.Fatal(err)
	}
	want, got := map[string]string{}, map[string]string{}
	for _, p := range slices.Concat(config, file, collector, receiver) {
		if !p.Ignored {
			want[p.Key] = p.DefaultValue
		}
	}
	for _, v := range documented {
		if v.fileOf == "" {
			got[v.doc.Name] = v.doc.Default
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("variables with defaults (-env +ours):\n%s", diff)
	}
}

func TestDoc(t *testing.T) {
	seen := map[string]bool{}
	for _, v := range Doc() {
		if seen[v.Name] {
			t.Errorf("%s stands there twice", v.Name)
		}
		seen[v.Name] = true
		if v.Unit == "" || v.Doc == "" || v.Allowed == "" || v.Example == "" || v.Example == v.Default {
			t.Errorf("%s is not described in full: %+v", v.Name, v)
		}
		if strings.HasSuffix(v.Name, "_PORT") || strings.HasPrefix(v.Name, Prefix+"SERVICE_") {
			t.Errorf("%s is a name that Kubernetes injects", v.Name)
		}
		if v.Secret != slices.Contains([]string{"VMCP_AUDIT_HASH_KEY", "VMCP_AUDIT_HEC_TOKEN"}, v.Name) {
			t.Errorf("%s: Secret = %v", v.Name, v.Secret)
		}
	}
	first, last := Doc()[0].Name, Doc()[len(Doc())-1].Name
	if first != "VMCP_AUDIT_ENABLED" || last != "VMCP_AUDIT_UNKNOWN_ENV" {
		t.Errorf("from %s to %s", first, last)
	}
}

func TestNumberedNames(t *testing.T) {
	if got := known["FILE_2_NAME"].doc; got.Name != "VMCP_AUDIT_FILE_2_NAME" || got.Default != "file-2" {
		t.Errorf("FILE_2_NAME: %+v", got)
	}
	for key, want := range map[string]bool{"FILE_1_PATH": false, "FILE_2_PATH": true, "FILE_9_PATH": true, "FILE_10_PATH": false, "2_LISTEN": false} {
		if _, ok := known[key]; ok != want {
			t.Errorf("%s is known: %v, want %v", key, ok, want)
		}
	}
}

// beside returns what a setting needs beside it.
func beside(v variable) []string {
	var all []string
	if strings.HasPrefix(v.group, "FILE_") && !v.address {
		all = append(all, v.group+"PATH=a")
	}
	if strings.HasPrefix(v.group, "HEC_") {
		all = append(all, v.group+"URL=http://127.0.0.1", v.group+"TOKEN="+canary)
	}
	if strings.HasPrefix(v.group, "SYSLOG_") && !v.address {
		all = append(all, v.group+"ADDR=tls://127.0.0.1")
	}
	switch strings.TrimPrefix(v.key, v.group) {
	case "HEADER":
		all = append(all, v.group+"FORMAT=cef")
	case "MAX_FILES":
		all = append(all, v.group+"MAX_SIZE=1MiB")
	case "URL":
		all = all[1:]
	case "TOKEN_FILE":
		all = all[:1]
	}
	return environ(strings.Join(all, " "))
}

// TestEveryVariableCounts sets each variable, those of the second file too, to
// its example: Load must take it and the Config must change.
func TestEveryVariableCounts(t *testing.T) {
	for _, key := range names {
		v := known[key]
		if !slices.Contains([]string{"", "FILE_", "FILE_2_", "HEC_", "HEC_9_", "SYSLOG_", "SYSLOG_2_"}, v.group) || strings.HasPrefix(v.doc.Unit, "path") && strings.HasSuffix(key, "_FILE") && v.fileOf == "" {
			continue // the files of a HEC are tested by TestHECFiles, those of syslog by TestSyslogFiles
		}
		t.Run(key, func(t *testing.T) {
			base := beside(v)
			example := v.doc.Example
			if v.fileOf != "" {
				example = filepath.Join(t.TempDir(), "secret")
				writeFile(t, example, canary)
			}
			opt := LoadOptions{HostName: "h"} // every event type
			before, _, err := Load(base, opt)
			if err != nil && (v.group == "" || len(base) > 1) { // a HEC needs URL and token
				t.Fatal(err)
			}
			after, _, err := Load(append(base, v.doc.Name+"="+strings.ReplaceAll(example, " ", "")), opt)
			if err != nil {
				t.Fatalf("the example %q is not taken: %v", example, err)
			}
			if cmp.Equal(before, after, options) {
				t.Errorf("%s=%s changes nothing", v.doc.Name, example)
			}
		})
	}
}

// TestDefaultsAreAllowed sets each variable to its default: nothing changes.
func TestDefaultsAreAllowed(t *testing.T) {
	for _, v := range documented {
		if v.doc.Default == "" {
			continue
		}
		base := beside(v)
		before, _, _ := Load(base, plain)
		after, _, err := Load(append(base, v.doc.Name+"="+v.doc.Default), plain)
		if diff := cmp.Diff(before, after, options); err != nil || diff != "" {
			t.Errorf("%s=%s: %v\n%s", v.doc.Name, v.doc.Default, err, diff)
		}
	}
}
