package redact

import (
	"fmt"
	"strings"
	"testing"
)

// repeats are pieces that, repeated, would make a careless scanner look at
// the same bytes over and over.
var repeats = []string{
	"a", " ", "eyJ", "eyJ.", "eyJhbGciOiJIUzI1NiJ9.", "\"", "token=", "token: ", "token=\"", "token:[", "a=", "a:", "password",
	"-", "- ", "-----", "-----BEGIN ", "-----BEGIN PRIVATE KEY-----", "---- BEGIN PRIVATE KEY---- END", "://", "a://b://c", "://a:b/", "://@", "sk-",
	"sk-ant-", "ghp_", "glpat-aaaaaaaaaaaaaaaaaaaa-----", "xoxb-", "Bearer ", "Bearer%20", "bearer abcdefgh ", "Basic ", "%", "%25", "%3A%2F%2F", "%3D", "data:", "data:a/b,",
	"Cookie: a; ", "authorization: a ", "--token ", "\\", "[", "{", "AKIA", "[redacted:", "[redacted:pair]", "token=[redacted:pair]", "?key=a&", "://a@", "x=y=\"",
	"cookie: [redacted:pair]; ", "cookie: a; ", "authorization: [redacted:pair], ", "token: word ", "session: x: ", "token: \"", "?sig=\"", "token=a;", "token=a;b",
}

func BenchmarkTextRepeat(b *testing.B) {
	for _, piece := range repeats {
		for _, size := range []int{1 << 16, 1 << 20} {
			in := strings.Repeat(piece, size/len(piece))
			b.Run(fmt.Sprintf("%q/%dK", piece, size>>10), func(b *testing.B) {
				for b.Loop() {
					Text(in)
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(in)), "ns/byte")
			})
		}
	}
}

func BenchmarkJSONRepeat(b *testing.B) {
	for _, piece := range []string{
		`"`, `{`, `[`, `{"token":`, `{"name":`, `{"a":1,"token":{`, `"a",`, `"--token",`, `"\u0041\ud800",`, `1,`, `{"name":"token","value":[`,
	} {
		for _, size := range []int{1 << 16, 1 << 20} {
			in := []byte("[" + strings.Repeat(piece, size/len(piece)))
			b.Run(fmt.Sprintf("%q/%dK", piece, size>>10), func(b *testing.B) {
				for b.Loop() {
					JSON(nil, in, 2*size)
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(in)), "ns/byte")
			})
		}
	}
}

func BenchmarkTextBenign(b *testing.B) {
	for _, in := range []string{
		"get_token_balance",
		"Tool search_tokens not found",
		"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko)",
		"https://example.com/a/b?page=2&max_tokens=100#top",
		strings.Repeat("The quick brown fox jumps over the lazy dog, 12 times: see [1]. ", 160),
	} {
		b.Run(fmt.Sprintf("%.20q", in), func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(in)))
			for b.Loop() {
				Text(in)
			}
		})
	}
}

func BenchmarkURIBenign(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		URI("https://example.com/a/b?page=2&max_tokens=100#top")
	}
}

func BenchmarkJSON(b *testing.B) {
	src := []byte(`{"name":"create_issue","arguments":{"owner":"vmcp-audit","repo":"x","title":"A title","labels":["a","b"],"n":12,"token":"hunter2"}}`)
	var dst []byte
	b.ReportAllocs()
	for b.Loop() {
		dst, _, _ = JSON(dst[:0], src, 1024)
	}
}
