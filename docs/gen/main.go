// Command gen writes the documents that are made from the code. It is run by
// make docs, in the root of the repository; a test fails when they differ.
package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"

	"github.com/vmcp-audit/vmcp-audit/emitter/config"
)

func main() {
	if err := write("."); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

func write(root string) error {
	pages, err := pages(root)
	if err != nil {
		return err
	}
	for name, page := range pages {
		if err := os.WriteFile(filepath.Join(root, name), page, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// pages returns every generated file of the repository at root, by its path.
func pages(root string) (map[string][]byte, error) {
	fields, err := eventFields(filepath.Join(root, "emitter"))
	if err != nil {
		return nil, err
	}
	s, err := schema(fields)
	if err != nil {
		return nil, err
	}
	var conf, example bytes.Buffer
	if err := config.WriteMarkdown(&conf); err != nil {
		return nil, err
	}
	if err := config.WriteEnvExample(&example); err != nil {
		return nil, err
	}
	v, err := vectorsPage()
	if err != nil {
		return nil, err
	}
	f, err := formatsPage()
	if err != nil {
		return nil, err
	}
	return map[string][]byte{
		"docs/events.md":             eventsPage(fields),
		"docs/schema/event-1.0.json": append(s, '\n'),
		"docs/chain-vectors.json":    v,
		"docs/configuration.md":      conf.Bytes(),
		"docs/redaction.md":          redactionPage(),
		"docs/formats.md":            f,
		"docs/qradar-qid.csv":        qidPage(),
		".env.example":               example.Bytes(),
	}, nil
}
