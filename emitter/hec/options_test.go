package hec

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vmcp-audit/vmcp-audit/emitter/hec/hectest"

	"github.com/vmcp-audit/vmcp-audit/emitter/internal/certtest"
)

func TestURL(t *testing.T) {
	tests := []struct{ url, base, mistake string }{
		{"http://h:8088", "http://h:8088", ""},
		{"https://h", "https://h", ""},
		{"https://h/", "https://h", ""},
		{"HTTPS://h:8088/services/collector", "https://h:8088", ""},
		{"https://h:8088/services/collector/", "https://h:8088", ""},
		{"https://h:8088/services/collector/event", "https://h:8088", ""},
		{"https://h:8088/services/collector/event/1.0", "https://h:8088", ""},
		{"https://h:8088/services/collector/1.0", "https://h:8088", ""},
		{"https://h/splunk/", "https://h/splunk", ""},
		{"https://h/splunk/services/collector/event", "https://h/splunk", ""},
		{"https://[::1]:8088", "https://[::1]:8088", ""},
		{"", "", "must begin with"},
		{"h:8088", "", "must begin with"},
		{"splunk", "", "must begin with"},
		{"ftp://h", "", "must begin with"},
		{"https://", "", "no host"},
		{"https://:8088", "", "no host"},
		{"https://u:s3cret@h", "", "user or password"},
		{"https://h?token=s3cret", "", "query"},
		{"https://h/#s3cret", "", "query or fragment"},
		{"https://h/services/collector/raw", "", "must end in"},
		{"https://h/services/collector/ack", "", "must end in"},
		{"https://h:s3cret", "", "cannot be parsed"},
		{"https://h/%zzs3cret", "", "cannot be parsed"},
	}
	for _, tt := range tests {
		s, err := New(tt.url, Options{Token: ask("x")})
		if tt.mistake != "" {
			if err == nil || !strings.Contains(err.Error(), tt.mistake) || strings.Contains(err.Error(), "s3cret") {
				t.Errorf("%q: %v, want …%s…", tt.url, err, tt.mistake)
			}
			continue
		}
		if err != nil || s.base != tt.base {
			t.Errorf("%q: base %+v, %v; want %q", tt.url, s, err, tt.base)
		}
	}
}

func TestOptionsThatAreRefused(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing")
	noPEM := certtest.TempFile(t, "text.pem", "no PEM")
	token := ask(hectest.Token)
	tests := []struct {
		opt  Options
		want string
	}{
		{Options{}, "one of token and token file"},
		{Options{Token: token, TokenFile: missing}, "one of token and token file"},
		{Options{TokenFile: missing}, "no such file"},
		{Options{TokenFile: certtest.TempFile(t, "empty", " \n")}, "token is empty"},
		{Options{TokenFile: certtest.TempFile(t, "prefix", "Splunk s3cret")}, "without the word Splunk"},
		{Options{TokenFile: certtest.TempFile(t, "large", strings.Repeat("s3cret", 1<<18))}, "more than"},
		{Options{Token: ask("s3c\nret")}, "printable"},
		{Options{Token: func() (string, error) { return "", fmt.Errorf("vault is sealed") }}, "vault is sealed"},
		{Options{Token: token, Ack: 9}, "mode of acknowledgement"},
		{Options{Token: token, MaxBytes: LargestMaxBytes + 1}, "more than"},
		{Options{Token: token, MaxBytes: -1}, "negative"},
		{Options{Token: token, AckTimeout: -1}, "negative"},
		{Options{Token: token, CertFile: noPEM}, "go together"},
		{Options{Token: token, CAFile: missing}, "no such file"},
		{Options{Token: token, CAFile: noPEM}, "no PEM certificate"},
		{Options{Token: token, CertFile: missing, KeyFile: noPEM}, "no such file"},
		{Options{Token: token, CertFile: noPEM, KeyFile: missing}, "no such file"},
		{Options{Token: token, CertFile: noPEM, KeyFile: noPEM}, "certificate file: with its key"},
	}
	for _, tt := range tests {
		_, err := New("https://h", tt.opt)
		if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "s3c") {
			t.Errorf("%v, want …%s…", err, tt.want)
		}
	}
	_, err := New("https://h", Options{Ack: 9, MaxBytes: -1})
	for _, want := range []string{"token", "acknowledgement", "negative"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v: not all mistakes at once", err)
		}
	}
}
