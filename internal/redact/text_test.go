package redact

import (
	"slices"
	"strings"
	"testing"
)

// Tokens that no service ever issued, in the shapes that services issue. They
// are put together here so that secret scanners do not take this file for a
// leak.
const (
	fakeJWT    = "eyJhbGciOiJIUzI1NiJ9." + "eyJzdWIiOiJhbGljZSJ9." + "c2lnbmF0dXJlLW9mLXRlc3Q"
	fakeGitHub = "ghp_" + "0123456789abcdefghijABCDEFGHIJ012345"
	fakeAWS    = "AKIA" + "IOSFODNN7EXAMPLE"
	fakeSlack  = "xoxb-" + "123456789012-abcdefGHIJKL"
	fakeGoogle = "AIza" + "SyA0123456789abcdefghijklmnopqrstuv"
	fakeAI     = "sk-" + "ant-api03-Abc123_def-456ghi"
	fakeOpenAI = "sk-" + "abcdefGHIJKL0123456789abcdefGHIJKL01"
	fakeStripe = "sk_" + "live_0123456789abcdefABCDEF"
	fakeNPM    = "npm_" + "0123456789abcdefghijABCDEFGHIJ012345"
	fakeGitLab = "glpat-" + "Abc123_def-456ghi789"
	fakeGUID   = "12345678-90ab-cdef-1234-567890abcdef"
	fakePEM    = "-----BEGIN RSA " + "PRIVATE KEY-----\nMIIEpAIBAAKCAQEA\n7bq9Zx==\n-----END RSA " + "PRIVATE KEY-----"
)

// benign are texts that must come out unchanged.
var benign = []string{
	"",
	" ",
	"get_token_balance",
	"search_tokens",
	"github.create_issue",
	"vault_read_secret",
	"Tool search_tokens not found",
	"Unknown tool: reset_password",
	"tool 'rotate_api_key' not found",
	"unknown tool \"get_secret\"",
	"token expired",
	"Invalid token: expired",
	"invalid token: signature verification failed",
	"Unauthorized: token is missing.",
	"password must have 12 characters",
	"Incorrect password: not found? password: required",
	"session not found",
	"Session: not found",
	"bearer of news",
	"the ring bearer Frodo",
	"Bearer token is missing",
	"missing Bearer authentication",
	"Basic authentication required",
	"basic tutorial: part 2",
	"Basic C++11/14 support",
	"Splunk Enterprise 9.4",
	`Bearer realm="https://as.example.com", error="invalid_token"`,
	"WWW-Authenticate: Bearer resource_metadata=\"https://h/.well-known/x\"",
	"123e4567-e89b-12d3-a456-426614174000",
	"sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
	"da39a3ee5e6b4b0d3255bfef95601890afd80709",
	"2026-11-22T13:39:50.678166Z",
	"/var/lib/vmcp-audit/spool/0000001.seg",
	`C:\Users\alice\token.txt`,
	"https://example.com/a/b?page=2&max_tokens=100#top",
	"http://[::1]:8080/mcp?x=1",
	"file:///etc/hosts",
	"git@github.com:org/repo.git",
	"mail to alice@example.com: done",
	"ui://widget/weather?units=metric",
	"https://medium.com/@user/a-post",
	"https://packages.example.org/@scope/pkg",
	"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko)",
	"claude-code/2.1.0 (external, cli)",
	"max_tokens=4096 temperature=0.2",
	"tokens used: 512, total tokens: 900",
	"progressToken: 7",
	"token_count=12",
	"Author: alice",
	"key: value",
	"primary key: id, sort key: ts",
	"error code: 404, state: open",
	"a == b ? c : d",
	"std::token::parse()",
	"sk-learn-contrib-imbalanced",
	"task-1234567890abcdefghij",
	"disk-0a1b2c3d4e5f6a7b8c9d0e1f",
	"npm_config_registry and npm_package_version",
	"ghp_pages_deploy",
	"highp_float",
	"xoxo, grandma",
	"eyJvZmZzZXQiOjEwfQ==",
	"iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==",
	"data: 1, 2, 3",
	"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
	"-----BEGIN PUBLIC KEY-----\nMIIB\n-----END PUBLIC KEY-----",
	"--token-limit 5 --secret-name foo --verbose",
	"use --password to set one",
	"50% off, 100%3 and %zz%",
	"日本語のツール名",
	"caf\xe9 \xff\xfe",
	"password",
	"password:",
	"password=",
	`{"password":"","token":null}`,
	"[redacted:pair]",
	"token=[redacted:pair], next",
	"Cookie: [redacted:pair]",
	"failed to register session: context deadline exceeded",
	"refresh token: oauth2: cannot fetch token: 400 Bad Request",
	"goroutine 1: /src/auth/token.go:123 +0x1f, session.go:45",
	"AssertionError [ERR_ASSERTION]: ifError got unwanted exception",
	"in the same session: 8 mismatches",
	"ext-auth: Enterprise Managed Authorization",
	"add an `Authorization: Bearer <token>` header",
	"fetch(\"https://h/consent?state=\" + id)",
}

func TestTextBenign(t *testing.T) {
	for _, in := range benign {
		if got, rules := Text(in); got != in || rules != nil {
			t.Errorf("Text(%q) = %q, %v; want it unchanged", in, got, rules)
		}
	}
}

// hostile are texts with a secret that must not come out.
var hostile = []struct {
	in     string
	secret string // must be gone
	keep   string // must stay; "" for nothing
	rule   Rule   // must have fired
}{
	{fakeJWT, "eyJ", "", JWT},
	{"(" + fakeJWT + ")", "c2lnbmF0", "(", JWT},
	{"jwt " + fakeJWT + ". Next sentence", "eyJ", ". Next sentence", JWT},
	{"eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbGljZSJ9.", "eyJ", "", JWT},
	{"eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbGljZSJ9 cut", "eyJ", " cut", JWT},
	{"eyJhbGciOiJSU0EtT0FFUCJ9.abcdefghijkl.AxY8DCtDaGlsbGljb3RoZQ.KDlTtXchhZTGufMYmOYGS4.9Q", "AxY8DCt", "", JWT},
	{"eyJhbGciOiJkaXIifQ..AxY8DCtDaGlsbGljb3RoZQ.KDlTtXchhZTGufMYmOYGS4.9Q", "KDlTt", "", JWT},
	{"x=" + fakeJWT + "~WyJzYWx0Il0~", "WyJzYWx0", "x=", JWT},
	{"ключ" + fakeJWT + "ключ", "eyJ", "ключ", JWT},
	{fakePEM, "MIIEp", "", PrivateKey},
	{"key:\n" + fakePEM + "\nafter", "7bq9Zx", "after", PrivateKey},
	{"-----BEGIN PRIVATE KEY-----\nMIIEcut", "MIIE", "", PrivateKey},
	{"-----BEGIN OPENSSH PRIVATE KEY-----\\nb3BlbnNzaA\\n", "b3Blb", "", PrivateKey},
	{"-----BEGIN PGP PRIVATE KEY BLOCK-----\nlQOYB\n-----END PGP PRIVATE KEY BLOCK-----. ok", "lQOYB", ". ok", PrivateKey},
	{"---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----\nP2/56w\n---- END SSH2 ENCRYPTED PRIVATE KEY ---- ok", "P2/56w", " ok", PrivateKey},
	{"-----BEGIN%20PRIVATE%20KEY-----%0AMIIE", "MIIE", "", PrivateKey},
	{"private_key=" + fakePEM + " after", "MIIEp", "after", Pair},
	{"token=x" + fakePEM, "MIIEp", "", PrivateKey},
	{fakeJWT + fakePEM, "MIIEp", "", PrivateKey},
	{"id " + fakeAWS + " denied", fakeAWS, "id ", AWSKey},
	{"\"ASIA" + "Y34FZKBOKMUTVV7A\"", "Y34FZ", "\"", AWSKey},
	{"aws_secret_access_key=wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "wJalr", "aws_secret_access_key=", Pair},
	{"aws_secret_access_key = wJalrXUtnFEMI/K7MDENG", "wJalr", "", Pair},
	{fakeGitHub, "0123456789", "", GitHubToken},
	{"«" + fakeGitHub + "»", "0123456789", "»", GitHubToken},
	{"token%3D" + fakeGitHub, "0123456789", "", Pair},
	{"%20" + fakeGitHub, "0123456789", "%20", GitHubToken},
	{"x" + fakeGitHub, "0123456789", "x", GitHubToken},
	{"gho_" + fakeGitHub[4:], "0123456789", "", GitHubToken},
	{"ghu_" + fakeGitHub[4:], "0123456789", "", GitHubToken},
	{"ghs_" + fakeGitHub[4:], "0123456789", "", GitHubToken},
	{"ghr_" + fakeGitHub[4:], "0123456789", "", GitHubToken},
	{"github_pat_11ABCDEFG0abcdefghijkl_0123456789abcdefghijklmnop", "abcdefghijkl", "", GitHubToken},
	{fakeGitLab + " is", "Abc123", " is", GitLabToken},
	{"<" + fakeSlack + ">", "abcdefGHIJKL", ">", SlackToken},
	{"xoxp-1234-5678-abcdef0123", "abcdef0123", "", SlackToken},
	{"xapp-1-A0123-456-abcdef", "abcdef", "", SlackToken},
	{fakeGoogle + ",", "SyA0123", ",", GoogleKey},
	{"ya29.a0AfH6SMBx-0123456789_abc rejected", "a0AfH6", " rejected", GoogleKey},
	{"GOCSPX-" + "abcdefGHIJKL0123456789", "abcdefGH", "", GoogleKey},
	{"key " + fakeAI + " is invalid", "Abc123", " is invalid", AIKey},
	{"Incorrect API key provided: " + fakeOpenAI + ". You can", "GHIJKL", ". You can", AIKey},
	{"sk-" + "proj-abcdefgh_ijkl", "abcdefgh", "", AIKey},
	{"%3Dsk-" + "ant-abcdefghijkl", "abcdefgh", "", AIKey},
	{"hf_" + "abcdefghijklmnopqrstuvwxyzABCDEF", "ghijkl", "", AIKey},
	{fakeStripe, "0123456789", "", StripeKey},
	{"rk_" + "live_0123456789abcdef", "0123456789", "", StripeKey},
	{"//registry/:_authToken=" + fakeNPM, "0123456789", "//registry/", Pair},
	{"npm " + fakeNPM, "0123456789", "npm ", NPMToken},
	{"pypi-" + "AgEIcHlwaS5vcmcCJDAwMDAwMDAw", "cHlwaS5", "", VendorToken},
	{"hvs." + "CAESIJ0123456789abcdefghij", "0123456789", "", VendorToken},
	{"DefaultEndpointsProtocol=https;AccountName=a;AccountKey=Zm9vYmFy/+==;EndpointSuffix=core", "Zm9v", "EndpointSuffix=core", Pair},
	{"Server=db;User Id=sa;Password=p4ss w;Database=x", "p4ss", "Database=x", Pair},
	{"Authorization: Bearer abc.def-123 failed", "abc.def", " failed", Pair},
	{"got Bearer abc.def-123 instead", "abc.def", " instead", AuthScheme},
	{"BEARER ABCDEF123456", "ABCDEF123456", "BEARER ", AuthScheme},
	{"bearer  mF_9.B5f-4.1JqM", "mF_9", "", AuthScheme},
	{"Bearer%20mF_9.B5f-4.1JqM", "mF_9", "Bearer%20", AuthScheme},
	{"Bearer+mF_9.B5f-4.1JqM", "mF_9", "", AuthScheme},
	{"Bearer%2520mF_9.B5f-4.1JqM", "mF_9", "", AuthScheme},
	{"header=Authorization%3A%20Bearer%20mF_9B5f41JqM&x=1", "mF_9", "&x=1", Pair},
	{"Bearer 'mF_9.B5f-4.1JqM'", "mF_9", "'", AuthScheme},
	{"Bearer CanarySecretWord", "CanarySecretWord", "", AuthScheme},
	{"Basic dXNlcjpwdw==", "dXNlc", "Basic ", AuthScheme},
	{"use Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ== now", "QWxh", " now", AuthScheme},
	{"Authorization: Basic dXNlcjpwdw==, again", "dXNlc", ", again", Pair},
	{"Authorization: Splunk " + fakeGUID, fakeGUID, "", Pair},
	{"Splunk " + fakeGUID, fakeGUID, "Splunk ", AuthScheme},
	{"authorization: Custom abcdef0123 rejected", "abcdef0123", " rejected", Pair},
	{`Authorization: Digest username="bob x", realm="r", response="6629fae4" end`, "6629fae4", " end", Pair},
	{"Authorization: AWS4-HMAC-SHA256 Credential=AK/2026, SignedHeaders=host, Signature=fe5f80 done", "fe5f80", " done", Pair},
	{"Proxy-Authorization: NTLM TlRMTVNTUAAB", "TlRM", "", Pair},
	{"Cookie: sid=31d4d96e; theme=dark is bad", "31d4d96e", " is bad", Pair},
	{"Set-Cookie: a=b1c2; Path=/; HttpOnly\r\nHost: x", "b1c2", "Host: x", Pair},
	{"token: abc123def", "abc123def", "token: ", Pair},
	{"token:abc123def", "abc123def", "token:", Pair},
	{"TOKEN=abc123def;", "abc123def", ";", Pair},
	{"(token=abc123def)", "abc123def", "(token=", Pair},
	{"password = 'correct horse battery'", "battery", "'", Pair},
	{`password="correct \"horse\" battery" ok`, "battery", " ok", Pair},
	{`{"password":"hunter2","user":"bob"}`, "hunter2", `"user":"bob"`, Pair},
	{`{\"password\":\"hunter2\",\"user\":\"bob\"}`, "hunter2", `\"user\":\"bob\"`, Pair},
	{`{'api_key': 'hunter2'}`, "hunter2", "'}", Pair},
	{`{"password":"hunter two, cut`, "two", "", Pair},
	{`{"token":{"v":"hunter2","w":[1]},"user":"bob"}`, "hunter2", `"user":"bob"`, Pair},
	{`{"token":{"v":"hun]ter2"},"user":"bob"}`, "ter2", `"user":"bob"`, Pair},
	{`{\"token\":[\"hun]ter2\"],\"user\":1}`, "ter2", `\"user\":1`, Pair},
	{`{'token': {'v': 'hun]ter2'}, 'user': 1}`, "ter2", `'user': 1`, Pair},
	{"%22token%22%3A%22hunter2%22%2C%22a%22", "hunter2", "%2C%22a%22", Pair},
	{"access_token%3Dhunter2%26user%3Dbob", "hunter2", "%26user%3Dbob", Pair},
	{"access_token%253Dhunter2%2526user", "hunter2", "%2526user", Pair},
	{"grant?access_token=hunter2&user=bob", "hunter2", "&user=bob", URIParam},
	{"user[password]=hunter2&a=1", "hunter2", "&a=1", Pair},
	{"api key: hunter2 was", "hunter2", " was", Pair},
	{"API Key = hunter2", "hunter2", "", Pair},
	{"session id: 31d4d96e", "31d4d96e", "", Pair},
	{"Mcp-Session-Id: 31d4d96e", "31d4d96e", "", Pair},
	{"X-Api-Key:31d4d96e", "31d4d96e", "", Pair},
	{"client_secret=a,b)c;x=1", "a,b)c", ";x=1", Pair},
	{"passwd := hunter2", "hunter2", "", Pair},
	{":pwd => hunter2", "hunter2", "", Pair},
	{"code_verifier=dBjftJeZ4CVP", "dBjft", "", Pair},
	{"refresh_token: 1//0abc", "0abc", "", Pair},
	{"id_token=abc.def", "abc.def", "", Pair},
	{"subject_token=abc&assertion=def", "def", "", Pair},
	{"token=foo,password: hunter2 end", "hunter2", " end", Pair},
	{"secret=foo,Bearer hunter2x end", "hunter2x", " end", Pair},
	{"パスワード password：x password=hunter2", "hunter2", "パスワード", Pair},
	{"mysql --password hunter2 -h db", "hunter2", " -h db", Pair},
	{"cli --api-key='hunter 2' run", "hunter", " run", Pair},
	{"tool -token hunter2", "hunter2", "", Pair},
	{"export GITHUB_TOKEN=hunter2", "hunter2", "", Pair},
	{"see https://bob:hunter2@example.com/x", "hunter2", "@example.com/x", UserInfo},
	{"dial postgres://u:p%40ss@db:5432/x?sslmode=disable: refused", "p%40ss", "@db:5432/x?sslmode=disable: refused", UserInfo},
	{"dial postgres://u:pa/ss@db/x", "pa/ss", "@db/x", UserInfo},
	{`"https:\/\/bob:hunter2@h\/"`, "hunter2", "@h", UserInfo},
	{"next=https%3A%2F%2Fbob%3Ahunter2%40h%2F", "hunter2", "%40h%2F", UserInfo},
	{"GET /cb?code=hunter2&state=xyzzy HTTP/1.1", "hunter2", " HTTP/1.1", URIParam},
	{"(https://h/?sig=hunter2)", "hunter2", ")", URIParam},
	{"img data:image/png;base64,iVBORw0KGgo= end", "iVBOR", " end", DataURI},
}

func TestTextHostile(t *testing.T) {
	for _, tt := range hostile {
		got, rules := Text(tt.in)
		if strings.Contains(got, tt.secret) {
			t.Errorf("Text(%q) = %q, holds %q", tt.in, got, tt.secret)
		}
		if !strings.Contains(got, tt.keep) {
			t.Errorf("Text(%q) = %q, lost %q", tt.in, got, tt.keep)
		}
		if !slices.Contains(rules, tt.rule) {
			t.Errorf("Text(%q) = %q, rules %v, want %s", tt.in, got, rules, tt.rule)
		}
		if again, _ := Text(got); again != got {
			t.Errorf("Text(%q) = %q, and again %q", tt.in, got, again)
		}
	}
}

// Around a secret nothing but the wrapping stays.
func TestTextWrapped(t *testing.T) {
	wraps := [][2]string{
		{"", ""},
		{`"`, `"`},
		{"'", "'"},
		{"(", ")"},
		{"[", "]"},
		{"<", ">"},
		{"«", "»"},
		{"ключ ", " ключ"},
		{"日本", "語"},
		{"a ", " b"},
		{"\n", "\n"},
		{"\xff", "\xff"},
		{"%20", "%20"},
		{"x=", "&y"},
		{"=", ","},
		{"`", "`"},
		{`\"`, `\"`},
	}
	secrets := []string{
		fakeJWT, fakeGitHub, fakeAWS, fakeSlack, fakeGoogle, fakeAI, fakeOpenAI, fakeStripe, fakeNPM,
		fakeGitLab, fakePEM, "Bearer 0123456789abcdef", "password=0123456789abcdef", "https://u:0123456789abcdef@h/",
	}
	for _, w := range wraps {
		for _, s := range secrets {
			in := w[0] + s + w[1]
			got, rules := Text(in)
			if len(rules) == 0 || strings.Contains(got, s[len(s)/2:]) || !strings.HasPrefix(got, w[0]) {
				t.Errorf("Text(%q) = %q, %v", in, got, rules)
			}
		}
	}
}

func TestTextAllocatesNothing(t *testing.T) {
	for _, in := range benign {
		if n := testing.AllocsPerRun(10, func() { Text(in) }); n != 0 {
			t.Errorf("Text(%q): %v allocations, want 0", in, n)
		}
		if n := testing.AllocsPerRun(10, func() { SecretKey(in) }); n != 0 {
			t.Errorf("SecretKey(%q): %v allocations, want 0", in, n)
		}
	}
}

// Whatever is repeated, 128 KiB must pass at once; the benchmarks show the time
// of a megabyte.
func TestHuge(t *testing.T) {
	for _, piece := range repeats {
		in := strings.Repeat(piece, 1<<17/len(piece))
		got, _ := Text(in)
		if len(got) > 5*len(in)+maxMarker {
			t.Errorf("%q repeated: %d bytes of %d", piece, len(got), len(in))
		}
		URI(in)
		JSON(nil, []byte(`["`+in+`"]`), 1<<10)
	}
}
