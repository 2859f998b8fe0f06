package redact

import (
	"slices"
	"testing"
)

func TestURI(t *testing.T) {
	const user, param, data = "[redacted:userinfo]", "[redacted:uri_param]", "[redacted:data_uri]"
	for _, tt := range []struct{ in, want string }{
		// Nothing to remove.
		{"", ""},
		{"https://example.com/a/b?page=2&max_tokens=9#top", ""},
		{"file:///etc/hosts", ""},
		{"http://[::1]:8080/mcp", ""},
		{"http://[::1]:8080/@x", ""},
		{"https://example.com:8443/@user/x", ""},
		{"urn:isbn:0451450523", ""},
		{"urn:x:a@b", ""},
		{"mailto:alice@example.com?subject=x", ""},
		{"ui://widget/weather", ""},
		{"github://org/repo/contents/token.go", ""},
		{"pkg:npm/%40scope/pkg@1.0", ""},
		{"/relative/path?x=1", ""},
		{"https://example.com/%zz?%", ""},
		{"data:", ""},
		{"file:///home/bob/my secret file.txt", ""},

		// User information.
		{"https://bob:hunter2@example.com/x", "https://" + user + "@example.com/x"},
		{"https://hunter2@example.com", "https://" + user + "@example.com"},
		{"HTTPS://bob:hun@ter2@example.com", "HTTPS://" + user + "@example.com"},
		{"https://bob:hunter%zz@example.com:bad/", "https://" + user + "@example.com:bad/"},
		{"postgres://bob:hun/ter2@db/x", "postgres://" + user + "@db/x"},
		{"postgres://bob:hun ter2@db/x", "postgres://" + user + "@db/x"},
		{"//bob:hunter2@example.com/x", "//" + user + "@example.com/x"},
		{"bob:hunter2@example.com/x", user + "@example.com/x"},
		{"redis:bob:hunter2@cache", user + "@cache"},
		{"jdbc:mysql://bob:hunter2@db/x", "jdbc:mysql://" + user + "@db/x"},
		{"https://h/go?to=https://bob:hunter2@h2/", "https://h/go?to=https://" + user + "@h2/"},
		{"https://h/go?to=https%3A%2F%2Fbob%3Ahunter2%40h2", "https://h/go?to=https%3A%2F%2F" + user + "%40h2"},

		// Parameters.
		{"https://h/?token=hunter2&a=b", "https://h/?token=" + param + "&a=b"},
		{"https://h/?a=b;token=hunter2;c=d", "https://h/?a=b;token=" + param + ";c=d"},
		{"https://h/?%74oken=hunter2", "https://h/?%74oken=" + param},
		{"https://h/?%2574oken=hunter2", "https://h/?%2574oken=" + param},
		{"https://h/?tok%65n=hun%26ter2&b", "https://h/?tok%65n=" + param + "&b"},
		{"https://h/?token=hun ter2", "https://h/?token=" + param},
		{"https://h/?token=\"hun ter2\"&a", "https://h/?token=\"" + param + "\"&a"},
		{"https://h/?TOKEN=hunter2#frag", "https://h/?TOKEN=" + param + "#frag"},
		{"https://h/cb#access_token=hunter2&token_type=bearer", "https://h/cb#access_token=" + param + "&token_type=bearer"},
		{"https://h/cb?code=hunter2&state=xyz", "https://h/cb?code=" + param + "&state=" + param},
		{"https://h/?key=hunter2", "https://h/?key=" + param},
		{"https://h/?sv=2020&sig=hunter2%3D", "https://h/?sv=2020&sig=" + param},
		{"https://h/sse?sessionId=31d4", "https://h/sse?sessionId=" + param},
		{"https://h/a;jsessionid=31d4", "https://h/a;jsessionid=" + param},
		{
			"https://b/o?X-Amz-Credential=AK%2F1&X-Amz-Date=2026&X-Amz-Signature=fe5f&X-Amz-Security-Token=Fwo",
			"https://b/o?X-Amz-Credential=" + param + "&X-Amz-Date=2026&X-Amz-Signature=" + param + "&X-Amz-Security-Token=" + param,
		},
		{"https://h/?api%5Fkey=hunter2", "https://h/?api%5Fkey=" + param},
		{"https://h/?user%5Bpassword%5D=hunter2&a=1", "https://h/?user%5Bpassword%5D=" + param + "&a=1"},
		{"https://h/?r=%3Ftoken%3Dhunter2%26b%3D1", "https://h/?r=%3Ftoken%3D" + param + "%26b%3D1"},
		{"?token=hunter2", "?token=" + param},
		{"urn:x?token=hunter2", "urn:x?token=" + param},
		{"x?a&password=hunter2", "x?a&password=" + param},

		// data: and shapes.
		{"data:image/png;base64,iVBORw0K", "data:image/png," + data},
		{"data:,hello world", "data:," + data},
		{"DATA:text/plain;charset=utf-8,a b?c=d", "DATA:text/plain," + data},
		{"data:hunter2", "data:," + data},
		{"data:a/AKIA" + "IOSFODNN7EXAMPLE,x", "data:," + data},
		{"https://h/" + fakeGitHub + "/x", "https://h/[redacted:github_token]/x"},
		{"https://h/?x=" + fakeJWT, "https://h/?x=[redacted:jwt]"},

		// Marked already.
		{"https://" + user + "@h/?token=" + param, ""},
		{"data:image/png," + data, ""},
	} {
		want := tt.want
		if want == "" {
			want = tt.in
		}
		got, rules := URI(tt.in)
		if got != want {
			t.Errorf("URI(%q) =\n\t%q, want\n\t%q", tt.in, got, want)
		}
		if (rules == nil) != (got == tt.in) {
			t.Errorf("URI(%q) = %q with rules %v", tt.in, got, rules)
		}
		if again, _ := URI(got); again != got {
			t.Errorf("URI(%q) = %q, want it unchanged", got, again)
		}
	}
}

func TestRulesAreClosed(t *testing.T) {
	names := []Rule{
		JWT, PrivateKey, AWSKey, GitHubToken, GitLabToken, SlackToken, GoogleKey, AIKey, StripeKey, NPMToken,
		VendorToken, AuthScheme, Pair, UserInfo, URIParam, DataURI, Key, Depth,
	}
	for i, r := range Rules {
		if i >= len(names) || r.Name != names[i] || r.Doc == "" {
			t.Errorf("Rules[%d] = %+v", i, r)
		}
		if got, fired := Text(r.Name.Marker()); fired != nil {
			t.Errorf("Text(%q) = %q", r.Name.Marker(), got)
		}
		if len(r.Name.Marker()) > maxMarker {
			t.Errorf("marker %s is longer than %d bytes", r.Name.Marker(), maxMarker)
		}
	}
	for _, sh := range shapes {
		if !slices.Contains(names, sh.rule) || sh.anchor < 1 {
			t.Errorf("shape %+v", sh)
		}
	}
}
