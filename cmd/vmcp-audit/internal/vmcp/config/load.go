package config

import (
	"fmt"
	"io"
	"os"
	"reflect"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/vmcp-audit/vmcp-audit/emitter/config"
)

// Options say what Load is to know beside the file. The zero value works.
type Options struct {
	File    string   // name of the file, for messages; empty: vmcp.yaml
	Environ []string // "NAME=value": where valueEnv looks, and what wins over audit
	Known   []string // names of the event types, as config.LoadOptions has them
}

// LoadFile is [Load] for a file.
func LoadFile(path string, opt Options) (Config, []string, error) {
	opt.File = path
	info, err := os.Stat(path) // before it is opened: opening a pipe would wait
	if err == nil && !info.Mode().IsRegular() {
		return Config{}, nil, fmt.Errorf("%s: is not a regular file", shownFile(path))
	}
	var data []byte
	if err == nil {
		data, err = readAll(path, MaxFile+1)
	}
	if err != nil {
		return Config{}, nil, fmt.Errorf("%s: cannot be read: %s", shownFile(path), reason(err))
	}
	return Load(data, opt)
}

// readAll returns at most limit bytes of a file.
func readAll(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // it was only read
	return io.ReadAll(io.LimitReader(f, limit))
}

// Load returns the configuration that the YAML asks for, and warnings, each one
// line. A file that is wrong is an [*Error] with every mistake; the Config is the
// zero one then.
//
// Load opens the files that hold secrets and certificates and no others. Nothing
// is dialled or started.
func Load(data []byte, opt Options) (Config, []string, error) {
	if opt.File == "" {
		opt.File = "vmcp.yaml"
	}
	l := &loader{opt: opt, environ: make(map[string]string), told: make(map[string]bool), root: &yaml.Node{}}
	for _, pair := range opt.Environ {
		name, value, _ := strings.Cut(pair, "=")
		l.environ[name] = value
	}
	if l.require(len(data) <= MaxFile, nil, "is larger than "+config.Size(MaxFile).String()) {
		l.parse(data)
	}
	if err := l.err(); err != nil {
		return Config{}, nil, err
	}
	var d document
	v := reflect.ValueOf(&d).Elem()
	setDefaults(v)
	if l.root.Kind != 0 {
		l.decode(l.root, nil, v, "")
	}
	c := l.check(d)
	if err := l.err(); err != nil {
		return Config{}, l.warnings, err
	}
	return c, l.warnings, nil
}

// loader is one run of Load.
type loader struct {
	opt      Options
	environ  map[string]string
	root     *yaml.Node
	mistakes []Mistake
	told     map[string]bool // paths that have one
	warnings []string
}
