package formats

import (
	stdcmp "cmp"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vmcp-audit/vmcp-audit/emitter"
)

// nowhere are the fields of the event that only the nested JSON has.
var nowhere = []string{"status.routes[].pending", "status.routes[].dead"}

// TestMappingHasEveryField compares the mapping with the event: each field once,
// with the bounds that its tags say.
func TestMappingHasEveryField(t *testing.T) {
	want := make(map[string][2]int)
	structFields(reflect.TypeFor[emitter.Event](), "", 0, want)
	got := make(map[string][2]int)
	for _, f := range fields {
		if f.path != "category" { // made from the type
			got[f.path] = [2]int{f.max, f.items}
		}
	}
	for _, path := range nowhere {
		delete(want, path)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("path: max, items: -want +got\n%s", diff)
	}
}

func structFields(typ reflect.Type, prefix string, items int, to map[string][2]int) {
	for f := range typ.Fields() {
		if !f.IsExported() {
			continue
		}
		path := prefix + f.Tag.Get("json")
		limit, _ := strconv.Atoi(f.Tag.Get("max"))
		n, _ := strconv.Atoi(f.Tag.Get("items"))
		switch {
		case f.Type.Kind() == reflect.Slice && f.Type.Elem().Kind() == reflect.Struct:
			structFields(f.Type.Elem(), path+"[].", n, to)
		case f.Type.Kind() == reflect.Struct && f.Type.PkgPath() == typ.PkgPath() && f.Type != reflect.TypeFor[emitter.Int]():
			structFields(f.Type, path+".", items, to)
		case f.Type.Kind() == reflect.Map:
			to[path] = [2]int{} // its bounds are constants
		default:
			to[path] = [2]int{limit, max(n, items)}
		}
	}
}

// entry is one key of a vendor's dictionary.
type entry struct{ typ, size string }

func dictionary(t *testing.T, path string, typ, size int) map[string]entry {
	t.Helper()
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string]entry)
	for line := range strings.Lines(string(page)) {
		if c := strings.Split(strings.TrimSpace(line), "\t"); line[0] != '#' && len(c) >= 5 {
			all[c[0]] = entry{c[typ], c[size]}
		}
	}
	return all
}

// TestCEFDictionary checks each key against ArcSight's dictionary.
func TestCEFDictionary(t *testing.T) {
	dict := dictionary(t, "testdata/cef-keys.tsv", 2, 3)
	dict["c6a2"] = dict["c6a3"] // chapter 3 of the standard has it, the copy of the dictionary not
	dict["c6a2Label"] = dict["c6a3Label"]
	seen := make(map[string]string)
	once := func(name, path string) {
		if seen[name] != "" && name != "" {
			t.Errorf("%s means %s and %s", name, seen[name], path)
		}
		seen[name] = path
	}
	check := func(f *field, name, label, typ string) {
		once(name, f.path)
		d, known := dict[name]
		switch own := strings.HasPrefix(name, "VmcpAudit"); {
		case name == "":
			return
		case own:
			if strings.IndexFunc(name, func(r rune) bool { return r > 'z' || !isAlnum(byte(r)) }) >= 0 {
				t.Errorf("%s is not alphanumeric", name)
			}
			return
		case !known || d.typ == "":
			t.Errorf("%s: the dictionary has no %s", f.path, name)
		case d.typ == "integer" && typ == "long" && f.cef.max > 0 && f.cef.max <= maxInteger: // put at its bound
		case d.typ != typ:
			t.Errorf("%s: %s is %s, not %s", f.path, name, d.typ, typ)
		}
		if limit, err := strconv.Atoi(d.size); err == nil && size(f, &f.cef) > limit {
			t.Errorf("%s: %s takes %d, we send %d", f.path, name, limit, size(f, &f.cef))
		}
		if _, needs := dict[name+"Label"]; needs != (label != "") {
			t.Errorf("%s: label %q", name, label)
		}
		if label != "" {
			once(name+"Label", f.path)
		}
	}
	for i := range fields {
		f := &fields[i]
		if f.kind == kindAddr {
			check(f, f.cef.name, "", "ipv4_address")
			check(f, f.cef.v6, labelV6[f.cef.v6], "ipv6_address")
			check(f, f.cef.host, "", "string")
			continue
		}
		check(f, f.cef.name, f.cef.label, stdcmp.Or(map[kind]string{kindNumber: "long", kindTime: "timestamp"}[f.kind], "string"))
	}
	check(&field{path: "truncated", max: 71}, cef.mark.name, cef.mark.label, "string")
	for _, k := range Kinds() {
		if len(k.Name) > 512 || strings.ContainsAny(k.Name, `|\`) || strings.ContainsFunc(string(k.Type), func(r rune) bool { return r != '_' && (r > 'z' || !isAlnum(byte(r))) }) {
			t.Errorf("class %s: name %q", k.Type, k.Name)
		}
	}
}

// size returns how long a value can be.
func size(f *field, k *key) int {
	n := f.max
	if f.items > 0 {
		n = f.items * (f.max + 1)
	}
	if f.kind == kindLabels {
		n = 0 // own key
	}
	if k.max > 0 && f.kind != kindNumber {
		n = min(n, k.max)
	}
	return n
}

// TestLEEFDictionary checks each key against IBM's.
func TestLEEFDictionary(t *testing.T) {
	dict := dictionary(t, "testdata/leef-keys.tsv", 1, 2)
	reserved := []string{"identMAC", "isLoginEvent", "isLogoutEvent", "identSecondlp", "calLanguage", "calCountryOrRegion"}
	seen := make(map[string]bool)
	for i := range fields {
		f := &fields[i]
		for _, name := range []string{f.leef.name, f.leef.v6, f.leef.host} {
			if name == "" {
				continue
			}
			if seen[name] || slices.Contains(reserved, name) {
				t.Errorf("%s is there twice, or reserved", name)
			}
			seen[name] = true
			d := dict[name]
			if limit, err := strconv.Atoi(d.size); err == nil && size(f, &f.leef) > limit {
				t.Errorf("%s takes %d, we send %d", name, limit, size(f, &f.leef))
			}
			if addr := d.typ == "ip_address"; addr != (f.kind == kindAddr && name != f.leef.host) {
				t.Errorf("%s is %s", name, d.typ)
			}
			if d.typ == "integer" && f.kind != kindNumber {
				t.Errorf("%s is a number", name)
			}
		}
	}
}

// TestStructuredData checks the names of parameters, RFC 5424 section 6.3.3.
func TestStructuredData(t *testing.T) {
	seen := map[string]bool{"truncated": true}
	for i := range fields {
		if sd := fields[i].sd; sd != "" && (seen[sd] || len(sd) > 32) {
			t.Errorf("%s is there twice, or too long", sd)
		} else if sd != "" {
			seen[sd] = true
		}
	}
}

// TestPortBelongsToItsAddress: spt is that of src, never that of a proxy before it.
func TestPortBelongsToItsAddress(t *testing.T) {
	e := &emitter.Event{Source: emitter.Source{Value: "192.0.2.1", Peer: "192.0.2.1", Port: 50123}}
	for name, want := range map[Name][2]string{
		NameCEF: {" spt=50123", " VmcpAuditPeerPort=50123"}, NameLEEF: {"^srcPort=50123", "^peerPort=50123"}, NameFlat: {`"source_port":50123`, `"source_port":50123`},
	} {
		for i, peer := range []string{"192.0.2.1", "10.0.0.7"} {
			e.Source.Peer = peer
			format, err := New(Options{Format: name})
			if err != nil {
				t.Fatal(err)
			}
			if line := string(format(nil, e)); strings.Count(line, "50123") != 1 || !strings.Contains(line, want[i]) {
				t.Errorf("peer %s: no %s, or more, in %s", peer, want[i], line)
			}
		}
	}
}

// TestKinds has every type once.
func TestKinds(t *testing.T) {
	var want, got []emitter.Type
	for _, info := range emitter.Types() {
		want = append(want, info.Type)
	}
	for _, k := range kinds {
		got = append(got, k.Type)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}
