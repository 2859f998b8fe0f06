package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
)

func TestLineReader(t *testing.T) {
	long := strings.Repeat(" ", maxLine)
	tests := []struct {
		name, in string
		want     []string
		n        int
	}{
		{"none", "", nil, 0},
		{"no end", "a\nb", []string{"a", "b"}, 2},
		{"line ends of Windows", "a\r\nb\r\n", []string{"a\r", "b\r"}, 2},
		{"blank lines", "\n a\n\r\n \t\nb\n\n", []string{" a", "b"}, 6},
		{"byte order mark", "\xEF\xBB\xBFa\n\xEF\xBB\xBFb\n", []string{"a", "\xEF\xBB\xBFb"}, 2},
		{"longest", long[1:] + "x\nb\n", []string{long[1:] + "x", "b"}, 2},
		{"too long", "a\n" + long + "x\nb\n", []string{"a", "too long", "b"}, 3},
		{"no piece of it", "a" + long + long + "{}\n" + long + "b", []string{"too long", "too long"}, 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for how, r := range map[string]io.Reader{"at once": strings.NewReader(tt.in), "in halves": iotest.HalfReader(strings.NewReader(tt.in))} {
				lines := lineReader{r: r}
				var got []string
				for {
					line, err := lines.next(context.Background(), false)
					if errors.Is(err, io.EOF) {
						break
					}
					if errors.Is(err, errLongLine) {
						line, err = []byte("too long"), nil
					}
					if err != nil {
						t.Fatal(err)
					}
					got = append(got, string(line))
				}
				if diff := cmp.Diff(tt.want, got); diff != "" || lines.n != tt.n {
					t.Errorf("%s: %d lines, want %d: -want +got\n%.500s", how, lines.n, tt.n, diff)
				}
			}
		})
	}
}

// TestConvertAnswersAtOnce gives one line after the other to a convert that never
// sees the end of its input.
func TestConvertAnswersAtOnce(t *testing.T) {
	in, lines := io.Pipe()
	out, stdout := io.Pipe()
	p := &program{stdin: in, stdout: stdout, stderr: io.Discard}
	done := make(chan error, 1)
	go func() { done <- p.runConvert(context.Background(), nil, convertOptions{to: "compact", maxSize: "0"}) }()
	for range 2 {
		if _, err := io.WriteString(lines, `{"type":"mcp_ping","outcome":"success","logged_at":"2026-11-22T13:39:50Z"}`+"\n"); err != nil {
			t.Fatal(err)
		}
		line := make([]byte, 200)
		if n, err := out.Read(line); err != nil || !bytes.HasPrefix(line[:n], []byte("13:39:50")) {
			t.Fatalf("%q, %v", line[:n], err)
		}
	}
	_ = lines.Close()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestStandardInputThatWaits: a signal ends the commands that read standard input
// though nothing comes.
func TestStandardInputThatWaits(t *testing.T) {
	for _, args := range []string{"convert --to cef -", "tail -", "verify -"} {
		in, lines := io.Pipe()
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan int, 1)
		go func() {
			ended <- run(ctx, strings.Fields("vmcp-audit "+args), nil, in, io.Discard, io.Discard)
		}()
		if _, err := io.WriteString(lines, "{"); err != nil { // it reads
			t.Fatal(err)
		}
		cancel()
		<-ended
		_ = lines.Close()
	}
}

// TestConvertTellsOfAClosedOutput: what could not be written is an error, also when
// only the end of it was left.
func TestConvertTellsOfAClosedOutput(t *testing.T) {
	out, stdout := io.Pipe()
	_ = out.Close()
	p := &program{stdin: strings.NewReader(`{"type":"mcp_ping","outcome":"success","logged_at":"2026-11-22T13:39:50Z"}`), stdout: stdout, stderr: io.Discard}
	if err := p.runConvert(context.Background(), nil, convertOptions{to: "cef", maxSize: "0"}); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("error %v", err)
	}
}
