package config

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
)

// Variables of others that defaults come from.
const (
	envKubernetes = "KUBERNETES_SERVICE_HOST"
	envAttributes = "OTEL_RESOURCE_ATTRIBUTES"
	envState      = "STATE_DIRECTORY" // of systemd
	envXDGState   = "XDG_STATE_HOME"
	envHome       = "HOME"
	envWindows    = "LOCALAPPDATA"
)

const fromHostName = "host name"

// resolve fills in the defaults that depend on the system.
func (l *loader) resolve(c *Config) {
	if c.Host == "" && l.environ[envKubernetes] != "" {
		// A pod's name is no host: QRadar would make a log source of each.
		c.Host = c.Component
		l.given["HOST"] = given{source: SourceDefault, from: Prefix + "COMPONENT"}
	}
	if c.Host == "" || c.Instance == "" {
		l.resolveHostName(c)
	}
	if c.SpoolDir == "" {
		l.resolveSpoolDir(c)
	}
	if _, set := l.given["SPOOL_FULL"]; !set && c.Durability == Strict {
		c.SpoolFull = Refuse
		l.given["SPOOL_FULL"] = given{source: SourceDefault, from: Prefix + "DURABILITY"}
	}
	attributes := l.environ[envAttributes]
	if c.Labels == nil && l.wrong["LABELS"] == 0 && attributes != "" {
		c.Labels = l.attributes(attributes)
		l.given["LABELS"] = given{source: SourceEnv, from: envAttributes}
	}
}

const program = "vmcp-audit" // our folder among those of others

// resolveSpoolDir puts the spool where state that must last is kept. The
// folders of relative paths would depend on where the program is started.
func (l *loader) resolveSpoolDir(c *Config) {
	state, from := l.opt.StateDir, ""
	systemd, _, _ := strings.Cut(l.environ[envState], ":") // the first one, if there are more
	switch {
	case state != "":
	case filepath.IsAbs(systemd):
		state, from = systemd, envState
	case os.Geteuid() == 0:
		state, from = "/var/lib/"+program, "root"
	case filepath.IsAbs(l.environ[envXDGState]):
		state, from = filepath.Join(l.environ[envXDGState], program), envXDGState
	case filepath.IsAbs(l.environ[envHome]):
		state, from = filepath.Join(l.environ[envHome], ".local", "state", program), envHome
	case filepath.IsAbs(l.environ[envWindows]):
		state, from = filepath.Join(l.environ[envWindows], program), envWindows
	default:
		return // Need says whether that matters
	}
	c.SpoolDir = filepath.Join(state, cmp.Or(l.opt.SpoolDir, "spool"))
	l.given["SPOOL_DIR"] = given{source: SourceDefault, from: from}
}

func (l *loader) resolveHostName(c *Config) {
	name := l.opt.HostName
	if name == "" {
		name, _ = os.Hostname() // an empty name is told of below
	}
	if !isName(name, maxHost) {
		name = "unknown"
		l.warnings = append(l.warnings, "the system has no usable host name: set "+Prefix+"HOST and "+Prefix+"INSTANCE")
	}
	if c.Host == "" {
		c.Host = name
		l.given["HOST"] = given{source: SourceDefault, from: fromHostName}
	}
	if c.Instance == "" {
		c.Instance = name
		l.given["INSTANCE"] = given{source: SourceDefault, from: fromHostName}
	}
}

// attributes reads labels as OpenTelemetry writes them. They were not written
// for us: what is no label is left out, with one warning.
func (l *loader) attributes(text string) map[string]string {
	labels := make(map[string]string)
	var first error
	left := 0
	for item := range strings.SplitSeq(text, ",") {
		if item = strings.TrimSpace(item); item == "" {
			continue
		}
		if err := addAttribute(labels, item); err != nil {
			left++
			if first == nil {
				first = err
			}
		}
	}
	if left > 0 {
		l.warnings = append(l.warnings, fmt.Sprintf("%s: %d left out of the labels; the first one %v", envAttributes, left, first))
	}
	return labels
}

func addAttribute(labels map[string]string, item string) error {
	key, encoded, ok := strings.Cut(item, "=")
	key = strings.TrimSpace(key)
	value, err := url.PathUnescape(strings.TrimSpace(encoded))
	if err != nil {
		return fmt.Errorf("has a value that is not percent-encoded for %s", quote(key))
	}
	if err := checkLabel(key, value, ok); err != nil {
		return err
	}
	if _, twice := labels[key]; !twice && len(labels) == MaxLabels {
		return errors.New("comes after as many labels as there can be")
	}
	labels[key] = value
	return nil
}
