package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	vmcpconfig "github.com/vmcp-audit/vmcp-audit/cmd/vmcp-audit/internal/vmcp/config"
	"github.com/vmcp-audit/vmcp-audit/cmd/vmcp-audit/internal/vmcp/upstream"
	"github.com/vmcp-audit/vmcp-audit/emitter/config"
)

// configFlag names the file of the virtual server.
const configFlag = "config"

func addConfigFlag(cmd *cobra.Command) {
	cmd.Flags().String(configFlag, "", "YAML file of the virtual server, see docs/vmcp-config.md (VMCP_AUDIT_CONFIG)")
}

// configFile returns the path of the virtual server's file, "" for none.
func (p *program) configFile(cmd *cobra.Command) string {
	if path, ok := given(cmd, []string{configFlag})[variableOf(configFlag)]; ok {
		return path
	}
	return p.variable(variableOf(configFlag))
}

// readConfig reads the virtual server's file. What its section audit sets counts
// from then on, unless a variable says otherwise.
func (p *program) readConfig(path string) (vmcpconfig.Config, []string, error) {
	c, warnings, err := vmcpconfig.LoadFile(path, vmcpconfig.Options{Environ: p.environ, Known: typeNames()})
	if err != nil {
		return c, nil, configError{err}
	}
	p.environ = slices.Concat(c.Audit, p.environ)
	return c, warnings, nil
}

// specs returns the back ends as the virtual server takes them; environ is ours,
// of which programs get a part.
func specs(backends []vmcpconfig.Backend, environ []string) ([]upstream.Spec, error) {
	var all []upstream.Spec
	var failed []error
	for _, b := range backends {
		s := upstream.Spec{Name: b.Name, Transport: upstream.Transport(b.Transport), URL: b.URL, Command: b.Command, Timeout: b.Timeout}
		if len(b.Command) > 0 {
			s.Env = b.Environ(environ)
		}
		for name, value := range b.Headers {
			if s.Header == nil {
				s.Header = make(http.Header)
			}
			s.Header.Set(name, value.Reveal())
		}
		var err error
		if s.TLS, err = trust(b.CAFile); err != nil {
			failed = append(failed, configError{fmt.Errorf("back end %s: certificates: %w", b.Name, err)})
		}
		all = append(all, s)
	}
	return all, errors.Join(failed...)
}

// trust returns settings by which only the certificates of a file count; nil
// for those of the system.
func trust(caFile string) (*tls.Config, error) {
	if caFile == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(caFile) // was looked at before: its size is bounded
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, errors.New("the file has none")
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool}, nil
}

// variable returns the value of a variable of ours, "" if it is not set.
func (p *program) variable(name string) (value string) {
	for _, pair := range p.environ {
		if v, ok := strings.CutPrefix(pair, config.Prefix+name+"="); ok {
			value = v // the last one counts, as config.Load has it
		}
	}
	return value
}
