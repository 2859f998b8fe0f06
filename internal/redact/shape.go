package redact

import "strings"

// shape is a kind of token that is known by how it begins.
type shape struct {
	prefix string
	anchor int // offset in prefix, at least 1, of a byte that is rare in text
	rule   Rule
	first  uint8 // class of the bytes after the prefix ...
	min    int   // ... of which there must be so many
	class  uint8 // class of all bytes of the token
	edge   bool  // no letter or digit may stand before the prefix
	digit  bool  // one of the first bytes after the prefix must be a digit
}

// shapes is the table of tokens. Lengths are those issued in 2026 or below.
var shapes = []shape{
	{prefix: "AKIA", anchor: 3, rule: AWSKey, first: clUpper | clDigit, min: 16, class: clUpper | clDigit},
	{prefix: "ASIA", anchor: 3, rule: AWSKey, first: clUpper | clDigit, min: 16, class: clUpper | clDigit},

	{prefix: "ghp_", anchor: 3, rule: GitHubToken, first: clAlnum, min: 20, class: clAlnum},
	{prefix: "gho_", anchor: 3, rule: GitHubToken, first: clAlnum, min: 20, class: clAlnum},
	{prefix: "ghu_", anchor: 3, rule: GitHubToken, first: clAlnum, min: 20, class: clAlnum},
	{prefix: "ghs_", anchor: 3, rule: GitHubToken, first: clAlnum, min: 20, class: clAlnum},
	{prefix: "ghr_", anchor: 3, rule: GitHubToken, first: clAlnum, min: 20, class: clAlnum},
	{prefix: "github_pat_", anchor: 10, rule: GitHubToken, first: clWord, min: 20, class: clWord, digit: true},

	{prefix: "glpat-", anchor: 5, rule: GitLabToken, first: clName, min: 16, class: clDotted},
	{prefix: "gldt-", anchor: 4, rule: GitLabToken, first: clName, min: 16, class: clDotted},
	{prefix: "glrt-", anchor: 4, rule: GitLabToken, first: clName, min: 16, class: clDotted},

	{prefix: "xoxa-", anchor: 4, rule: SlackToken, first: clName, min: 8, class: clName},
	{prefix: "xoxb-", anchor: 4, rule: SlackToken, first: clName, min: 8, class: clName},
	{prefix: "xoxc-", anchor: 4, rule: SlackToken, first: clName, min: 8, class: clName},
	{prefix: "xoxd-", anchor: 4, rule: SlackToken, first: clName, min: 8, class: clName},
	{prefix: "xoxe-", anchor: 4, rule: SlackToken, first: clName, min: 8, class: clName},
	{prefix: "xoxo-", anchor: 4, rule: SlackToken, first: clName, min: 8, class: clName, digit: true},
	{prefix: "xoxp-", anchor: 4, rule: SlackToken, first: clName, min: 8, class: clName},
	{prefix: "xoxr-", anchor: 4, rule: SlackToken, first: clName, min: 8, class: clName},
	{prefix: "xoxs-", anchor: 4, rule: SlackToken, first: clName, min: 8, class: clName},
	{prefix: "xapp-", anchor: 4, rule: SlackToken, first: clName, min: 8, class: clName, digit: true},

	{prefix: "AIza", anchor: 2, rule: GoogleKey, first: clName, min: 30, class: clName},
	{prefix: "ya29.", anchor: 4, rule: GoogleKey, first: clName, min: 16, class: clDotted},
	{prefix: "GOCSPX-", anchor: 6, rule: GoogleKey, first: clName, min: 16, class: clName},

	{prefix: "sk-ant-", anchor: 2, rule: AIKey, first: clName, min: 8, class: clName, edge: true},
	{prefix: "sk-proj-", anchor: 2, rule: AIKey, first: clName, min: 8, class: clName, edge: true},
	{prefix: "sk-svcacct-", anchor: 2, rule: AIKey, first: clName, min: 8, class: clName, edge: true},
	{prefix: "sk-admin-", anchor: 2, rule: AIKey, first: clName, min: 8, class: clName, edge: true},
	{prefix: "sk-or-", anchor: 2, rule: AIKey, first: clName, min: 8, class: clName, edge: true, digit: true},
	{prefix: "sk-", anchor: 2, rule: AIKey, first: clAlnum, min: 16, class: clName, edge: true, digit: true},
	{prefix: "hf_", anchor: 2, rule: AIKey, first: clAlnum, min: 20, class: clAlnum, edge: true},

	{prefix: "sk_live_", anchor: 7, rule: StripeKey, first: clAlnum, min: 10, class: clAlnum},
	{prefix: "rk_live_", anchor: 7, rule: StripeKey, first: clAlnum, min: 10, class: clAlnum},
	{prefix: "sk_test_", anchor: 7, rule: StripeKey, first: clAlnum, min: 16, class: clAlnum},
	{prefix: "rk_test_", anchor: 7, rule: StripeKey, first: clAlnum, min: 16, class: clAlnum},
	{prefix: "whsec_", anchor: 5, rule: StripeKey, first: clAlnum, min: 16, class: clAlnum},

	{prefix: "npm_", anchor: 3, rule: NPMToken, first: clAlnum, min: 20, class: clAlnum},

	{prefix: "ATATT3x", anchor: 6, rule: VendorToken, first: clName, min: 16, class: clName},
	{prefix: "dop_v1_", anchor: 6, rule: VendorToken, first: clAlnum, min: 20, class: clAlnum},
	{prefix: "glsa_", anchor: 4, rule: VendorToken, first: clAlnum, min: 20, class: clWord},
	{prefix: "lin_api_", anchor: 7, rule: VendorToken, first: clAlnum, min: 20, class: clAlnum},
	{prefix: "ntn_", anchor: 3, rule: VendorToken, first: clAlnum, min: 20, class: clAlnum, edge: true},
	{prefix: "pypi-AgE", anchor: 4, rule: VendorToken, first: clName, min: 16, class: clName},
	{prefix: "SG.", anchor: 2, rule: VendorToken, first: clName, min: 16, class: clDotted, edge: true, digit: true},
	{prefix: "shpat_", anchor: 5, rule: VendorToken, first: clAlnum, min: 20, class: clAlnum},
	{prefix: "hvs.", anchor: 3, rule: VendorToken, first: clName, min: 20, class: clDotted, edge: true, digit: true},
}

// shapesAt lists the shapes by their anchor.
var shapesAt = func() (t [256][]shape) {
	for _, sh := range shapes {
		c := sh.prefix[sh.anchor]
		t[c] = append(t[c], sh)
	}
	return t
}()

// shapeAt redacts the token whose anchor is s[i] and returns where to go on.
func (sc *scanner) shapeAt(i int) int {
	if i == 0 {
		return 1
	}
	before := sc.s[i-1]
	list := shapesAt[sc.s[i]]
	for k := range list {
		sh := &list[k]
		if sh.prefix[sh.anchor-1] != before {
			continue
		}
		if end := sc.match(sh, i-sh.anchor); end > 0 {
			return sc.redact(i-sh.anchor, end, sh.rule)
		}
	}
	return i + 1
}

// match returns the end of the token of the given shape at start, 0 if there
// is none.
func (sc *scanner) match(sh *shape, start int) int {
	if start < sc.last || !strings.HasPrefix(sc.s[start:], sh.prefix) || sh.edge && !sc.edge(start) {
		return 0
	}
	body := start + len(sh.prefix)
	if run(sc.s, body, sh.first, sh.min)-body < sh.min {
		return 0
	}
	if sh.digit && !hasDigit(sc.s[body:run(sc.s, body, sh.class, 64)]) {
		return 0
	}
	return trimDots(sc.s, body, run(sc.s, body, sh.class, len(sc.s)))
}

// edge reports whether a word may begin at s[i]: no letter or digit stands
// before it, other than those of a percent-encoded byte.
func (sc *scanner) edge(i int) bool {
	if i == 0 || i == sc.last || !is(sc.s[i-1], clAlnum) {
		return true
	}
	return i-3 >= sc.last && sc.s[i-3] == '%' && isHex(sc.s[i-2]) && isHex(sc.s[i-1])
}

// jwtAt redacts the JSON Web Token whose header has its J at s[i]. A header
// is base64url of `{"`, which is eyJ.
func (sc *scanner) jwtAt(i int) int {
	const minHeader = 12 // bytes; {"alg":"x"} has 15
	start := i - 2
	if start < sc.last || start < sc.noJWT || sc.s[start:i] != "ey" {
		return i + 1
	}
	header := run(sc.s, start, clName, len(sc.s))
	if header-start < minHeader || header == len(sc.s) || sc.s[header] != '.' || !sc.jwtRest(header+1) {
		sc.noJWT = header // the same for each eyJ of this run
		return i + 1
	}
	end := header
	for end < len(sc.s) && (sc.s[end] == '.' || sc.s[end] == '~') {
		end = run(sc.s, end+1, clName, len(sc.s))
	}
	return sc.redact(start, trimDots(sc.s, header, end), JWT)
}

// jwtRest reports whether what follows a header and its dot are the other
// parts of a token: claims, or any two parts of some length.
func (sc *scanner) jwtRest(i int) bool {
	claims := run(sc.s, i, clName, len(sc.s))
	if strings.HasPrefix(sc.s[i:], "eyJ") && claims-i >= 6 {
		return true
	}
	if claims == len(sc.s) || sc.s[claims] != '.' {
		return false
	}
	third := run(sc.s, claims+1, clName, len(sc.s))
	return claims-i+third-claims-1 >= 16
}

// trimDots moves end back over full stops, not before start.
func trimDots(s string, start, end int) int {
	for end > start && s[end-1] == '.' {
		end--
	}
	return end
}

func hasDigit(s string) bool {
	for i := range len(s) {
		if is(s[i], clDigit) {
			return true
		}
	}
	return false
}
