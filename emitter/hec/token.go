package hec

import (
	"errors"
	"fmt"
	"strings"

	"github.com/vmcp-audit/vmcp-audit/emitter/internal/reread"
)

// token is where the token of the collector comes from: a function or a file.
type token struct {
	ask   func() (string, error)
	file  reread.File
	value *string // of the file; a pointer, which fmt prints as an address
}

// get returns the token to use now.
func (t *token) get() (string, error) {
	if t.ask != nil {
		value, err := t.ask()
		if err != nil {
			return "", fmt.Errorf("token: %w", err)
		}
		return value, checkToken(value)
	}
	if t.value == nil || t.file.Changed() {
		if err := t.read(); err != nil && t.value == nil {
			return "", err
		}
	}
	return *t.value, nil
}

// read reads the file, and keeps the token that it has if that does not work:
// the file may be in the middle of a change.
func (t *token) read() error {
	content, err := t.file.Read()
	if err != nil {
		return fmt.Errorf("token: %w", err)
	}
	value := strings.TrimSpace(string(content))
	if err := checkToken(value); err != nil {
		return err
	}
	t.value = &value
	return nil
}

// replaced reports whether there is another token than old, which was refused.
func (t *token) replaced(old string) bool {
	if t.ask == nil && t.read() != nil {
		return false
	}
	value, err := t.get()
	return err == nil && value != old
}

// checkToken refuses what cannot stand in a header as one word.
func checkToken(value string) error {
	if value == "" {
		return errors.New("token is empty")
	}
	for _, r := range value {
		if r <= ' ' || r > '~' {
			return errors.New("token holds a character that is not printable ASCII, or a space: give it without the word Splunk")
		}
	}
	return nil
}
