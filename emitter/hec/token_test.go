package hec

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/vmcp-audit/vmcp-audit/emitter/hec/hectest"

	"github.com/vmcp-audit/vmcp-audit/emitter/internal/certtest"
)

func TestTokenFileChanges(t *testing.T) {
	file := certtest.TempFile(t, "token", " old-token\n")
	c := hectest.New(hectest.Options{Token: "old-token"})
	s := serve(t, c, Options{TokenFile: file})
	mustSend(t, s, numbered(1))

	c.SetToken("new-token")
	wantSend(t, s, numbered(1), 0, "blocked", "code 4")
	certtest.Write(t, file, "new-token\r\n")
	mustSend(t, s, numbered(1))

	// In the middle of a change the token that is known is used.
	for _, content := range []string{"", "\n", "two words"} {
		certtest.Write(t, file, content)
		mustSend(t, s, numbered(1))
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	mustSend(t, s, numbered(1))
	c.SetToken("third-token")
	wantSend(t, s, numbered(1), 0, "blocked", "code 4")
	certtest.Write(t, file, "third-token")
	mustSend(t, s, numbered(1))
}

// A change that leaves no trace in the file's name, time and size is noticed
// when the old token is refused, and then costs no error.
func TestTokenIsReadAgainWhenRefused(t *testing.T) {
	file := certtest.TempFile(t, "token", "old-token")
	long := time.Now().Add(-time.Hour)
	if err := os.Chtimes(file, long, long); err != nil {
		t.Fatal(err)
	}
	c := hectest.New(hectest.Options{Token: "old-token"})
	s := serve(t, c, Options{TokenFile: file})
	mustSend(t, s, numbered(1))
	if err := os.WriteFile(file, []byte("new-token"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(file, long, long); err != nil {
		t.Fatal(err)
	}
	mustSend(t, s, numbered(1))
	c.SetToken("new-token")
	mustSend(t, s, numbered(1))
	if got := len(c.Requests("")); got != 4 || c.Count() != 3 {
		t.Errorf("%d requests, %d events", got, c.Count())
	}
}

// Kubernetes swaps a link to a folder.
func TestTokenBehindLink(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"one", "two"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
		certtest.Write(t, filepath.Join(dir, name, "token"), name+"-token")
	}
	link := filepath.Join(dir, "data")
	if err := os.Symlink("one", link); err != nil {
		t.Fatal(err)
	}
	c := hectest.New(hectest.Options{Token: "one-token"})
	s := serve(t, c, Options{TokenFile: filepath.Join(link, "token")})
	mustSend(t, s, numbered(1))
	if err := os.Symlink("two", link+".next"); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(link+".next", link); err != nil {
		t.Fatal(err)
	}
	c.SetToken("two-token")
	mustSend(t, s, numbered(1))
	if got := len(c.Requests("")); got != 2 {
		t.Errorf("%d requests", got)
	}
}

func TestTokenFunction(t *testing.T) {
	value := "old-token"
	c := hectest.New(hectest.Options{Token: value})
	s := serve(t, c, Options{Token: func() (string, error) { return value, nil }})
	mustSend(t, s, numbered(1))
	value = ""
	wantSend(t, s, numbered(1), 0, "blocked", "token is empty")
	value = "new-token"
	wantSend(t, s, numbered(1), 0, "blocked", "code 4")
	c.SetToken("new-token")
	mustSend(t, s, numbered(1))
	c.DisableToken(true)
	wantSend(t, s, numbered(1), 0, "blocked", `code 1 "Token disabled"`)
}

// A token that changes at every question must not make us ask for ever.
func TestTokenIsTriedOnceMore(t *testing.T) {
	n := 0
	c := hectest.New(hectest.Options{})
	s := serve(t, c, Options{Token: func() (string, error) {
		n++
		return "token-" + string(rune('a'+n)), nil
	}})
	wantSend(t, s, numbered(1), 0, "blocked", "code 4")
	if got := len(c.Requests("")); got != 2 {
		t.Errorf("%d requests", got)
	}
}
