// Package redact is the one boundary through which text that a stranger chose
// passes before it enters an audit event: tool names, error messages, user
// agents, resource URIs, arguments and results.
//
// It promises to remove known secret shapes (see [Rules]) and the values of
// known secret key names (see [SecretKey]). It does not promise to remove all
// secrets: a password in the middle of a sentence, a secret in an encoding of
// its own (base64, compressed), or a vendor's token that is not in the table
// passes unseen.
//
// Every function takes any bytes, never panics, needs time linear in its
// input, keeps no state, and is safe for concurrent use. All are idempotent:
// redacting their own output changes nothing.
package redact

// Rule is the name of one reason for removing text. It stands in the marker
// "[redacted:RULE]" that takes the place of what was removed. The set is
// closed: every Rule is in [Rules].
type Rule string

// The rules. A name is lower case letters and underscores, and is kept for
// ever once released, since SIEM searches are built on it.
const (
	JWT         Rule = "jwt"
	PrivateKey  Rule = "private_key"
	AWSKey      Rule = "aws_key"
	GitHubToken Rule = "github_token"
	GitLabToken Rule = "gitlab_token"
	SlackToken  Rule = "slack_token"
	GoogleKey   Rule = "google_key"
	AIKey       Rule = "ai_key"
	StripeKey   Rule = "stripe_key"
	NPMToken    Rule = "npm_token"
	VendorToken Rule = "vendor_token"
	AuthScheme  Rule = "auth_scheme"
	Pair        Rule = "pair"
	UserInfo    Rule = "userinfo"
	URIParam    Rule = "uri_param"
	DataURI     Rule = "data_uri"
	Key         Rule = "key"
	Depth       Rule = "depth"
)

// RuleDoc is a row of the published rule table.
type RuleDoc struct {
	Name Rule
	Doc  string // one sentence, Markdown
}

// Rules lists every rule in the order in which [Text] and [URI] report them.
// It must not be changed; the documentation is generated from it.
var Rules = []RuleDoc{
	{JWT, "JSON Web Token: signed (three parts), encrypted (five), unsigned, detached, or cut after the claims; also SD-JWT."},
	{PrivateKey, "PEM block of a private key (PKCS #1, PKCS #8, SEC 1, OpenSSH, PGP); to the end of the text when the `END` line is missing."},
	{AWSKey, "AWS access key id (`AKIA...`, `ASIA...`)."},
	{GitHubToken, "GitHub token (`ghp_`, `gho_`, `ghu_`, `ghs_`, `ghr_`, `github_pat_`)."},
	{GitLabToken, "GitLab token (`glpat-`, `gldt-`, `glrt-`)."},
	{SlackToken, "Slack token (`xoxb-`, `xoxp-` and others of the family, `xapp-`)."},
	{GoogleKey, "Google API key (`AIza...`), OAuth access token (`ya29.`) or client secret (`GOCSPX-`)."},
	{AIKey, "Key of an AI provider (`sk-...`, `sk-ant-...`, `sk-proj-...`, `hf_...`)."},
	{StripeKey, "Stripe key (`sk_live_`, `rk_live_`, their `_test_` forms, `whsec_`)."},
	{NPMToken, "npm access token (`npm_...`)."},
	{VendorToken, "Token of another vendor: Atlassian, DigitalOcean, Grafana, Linear, Notion, PyPI, SendGrid, Shopify, Vault."},
	{AuthScheme, "Credentials after `Bearer`, `Basic` or `Splunk`."},
	{Pair, "Value of a secret name in running text: `password=...`, `api key: ...`, `\"token\":\"...\"`, `--token ...`."},
	{UserInfo, "User and password before the `@` of a URI."},
	{URIParam, "Value of a secret parameter in the query, fragment or path of a URI, for example `access_token`, `sig`, `code`, `state`, `key`."},
	{DataURI, "Payload of a `data:` URI; the media type stays."},
	{Key, "Whole value, of any type, of a JSON member with a secret name."},
	{Depth, "JSON value nested more than 64 containers deep."},
}

// markers holds "[redacted:RULE]" in the order of Rules.
var markers = func() []string {
	m := make([]string, len(Rules))
	for i, r := range Rules {
		m[i] = r.Name.Marker()
	}
	return m
}()

// Marker returns the text that takes the place of what the rule removed.
func (r Rule) Marker() string { return markerPrefix + string(r) + "]" }

const (
	markerPrefix = "[redacted:"
	maxMarker    = 40 // bytes, longer than any marker
)

// markerAt returns the length of the marker of a known rule at the start of
// s, 0 if there is none.
func markerAt(s string) int {
	if len(s) < len(markerPrefix) || s[:len(markerPrefix)] != markerPrefix {
		return 0
	}
	for _, m := range markers {
		if len(s) >= len(m) && s[:len(m)] == m {
			return len(m)
		}
	}
	return 0
}

// ruleSet has bit i set when Rules[i] fired.
type ruleSet uint32

func (rs *ruleSet) add(r Rule) {
	for i := range Rules {
		if Rules[i].Name == r {
			*rs |= 1 << i
			return
		}
	}
}

// list returns the rules in the order of Rules, nil for none.
func (rs ruleSet) list() []Rule {
	if rs == 0 {
		return nil
	}
	var out []Rule
	for i := range Rules {
		if rs&(1<<i) != 0 {
			out = append(out, Rules[i].Name)
		}
	}
	return out
}
