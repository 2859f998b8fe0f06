package config

import (
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/vmcp-audit/vmcp-audit/emitter/syslog"
)

// fileSuffix ends the name of the variable that holds a secret's file.
const fileSuffix = "_FILE"

// Variable describes one variable to people.
type Variable struct {
	Name    string `json:"name"`              // with the prefix
	Default string `json:"default,omitempty"` // empty: none, or one that depends on the system, see Doc
	Unit    string `json:"unit,omitempty"`    // what the value is: bytes, duration, boolean, list of ..., URL
	Doc     string `json:"doc,omitempty"`     // what it means
	Allowed string `json:"allowed,omitempty"` // which values it takes
	Example string `json:"example,omitempty"` // one of them, other than the default
	Secret  bool   `json:"secret,omitempty"`  // the value is never shown
}

// Doc describes every variable in the order of the documents. Of destinations
// it has the first of each kind; the second has a number after the kind, as
// HEC_2_URL, up to [MaxDestinations].
func Doc() []Variable {
	all := make([]Variable, len(documented))
	for i, v := range documented {
		all[i] = v.doc
	}
	return all
}

// variable is what Load knows of one variable.
type variable struct {
	doc     Variable
	key     string   // name without the prefix
	group   string   // FILE_ or FILE_2_ for a destination's setting, else empty
	field   string   // Go field: caarlos0/env names its errors so
	words   []string // allowed words, nil: no such list
	url     bool     // the value may hold a password where it is wrong
	address bool     // switches its destination on
	fileOf  string   // key of the secret that the named file holds, else empty
}

var (
	documented = describe(reflect.TypeFor[Config](), 1) // in the order of the documents
	known      = byKey()                                // these and the numbered ones
	names      = sortedKeys(known)
)

// describe lists the variables of a struct; those of destinations for number n.
func describe(t reflect.Type, n int) []variable {
	var all []variable
	for f := range t.Fields() {
		if kind := f.Tag.Get("group"); kind != "" {
			all = append(all, describeGroup(f.Type.Elem(), kind, n)...)
			continue
		}
		all = append(all, describeField(f, "")...)
	}
	return all
}

func describeGroup(t reflect.Type, kind string, n int) []variable {
	var all []variable
	for f := range t.Fields() {
		all = append(all, describeField(f, groupOf(kind, n))...)
	}
	for i, v := range all {
		if v.key == v.group+"NAME" && n > 1 {
			all[i].doc.Default += "-" + strconv.Itoa(n)
		}
	}
	return all
}

// groupOf returns how the names of a kind's destination n begin.
func groupOf(kind string, n int) string {
	if n == 1 {
		return kind + "_"
	}
	return kind + "_" + strconv.Itoa(n) + "_"
}

// describeField returns the variable of f and, for a secret, that of its file.
func describeField(f reflect.StructField, group string) []variable {
	name := f.Tag.Get("env")
	if name == "" || name == "-" {
		return nil
	}
	key := group + name
	v := variable{
		key: key, group: group, field: f.Name,
		url:     f.Type == reflect.TypeFor[*url.URL]() || f.Type == reflect.TypeFor[syslog.Address](),
		address: f.Tag.Get("address") != "",
		doc: Variable{
			Name: Prefix + key, Default: f.Tag.Get("envDefault"), Unit: f.Tag.Get("unit"), Doc: f.Tag.Get("doc"),
			Allowed: f.Tag.Get("allowed"), Example: f.Tag.Get("example"),
			Secret: f.Type == reflect.TypeFor[Secret](),
		},
	}
	if words := f.Tag.Get("oneof"); words != "" {
		v.words = strings.Split(words, "|")
		v.doc.Allowed = strings.Join(v.words, ", ")
	}
	if !v.doc.Secret {
		return []variable{v}
	}
	return []variable{v, secretFile(v, f.Tag.Get("filedoc"))}
}

func secretFile(secret variable, more string) variable {
	return variable{
		key: secret.key + fileSuffix, group: secret.group, fileOf: secret.key,
		doc: Variable{
			Name: secret.doc.Name + fileSuffix, Unit: "path",
			Doc:     "file that holds " + secret.doc.Name + ", without the end of its last line" + more,
			Allowed: "path of a regular file of at most " + Size(MaxSecretFile).String(),
			Example: "/run/secrets/" + strings.ToLower(strings.ReplaceAll(secret.key, "_", "-")),
		},
	}
}

func byKey() map[string]variable {
	m := make(map[string]variable)
	for n := 1; n <= MaxDestinations; n++ {
		for _, v := range describe(reflect.TypeFor[Config](), n) {
			m[v.key] = v
		}
	}
	return m
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// flagOf returns the flag that stands for a variable: --listen for LISTEN.
func flagOf(key string) string {
	return "--" + strings.ToLower(strings.ReplaceAll(key, "_", "-"))
}
