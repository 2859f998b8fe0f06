package redact

import "strings"

// wordSet is a closed set of lower-case words.
type wordSet map[string]struct{}

func (ws wordSet) has(word []byte) bool {
	_, ok := ws[string(word)]
	return ok
}

func setOf(list string) wordSet {
	ws := wordSet{}
	for w := range strings.FieldsSeq(list) {
		ws[w] = struct{}{}
	}
	return ws
}

// role says what a word does in a name.
type role uint16

const (
	// strong makes any name secret that has it as a word, or is it when all
	// separators are left out (a_P-i.KEY).
	strong role = 1 << iota
	// last makes a name secret as its last word: session, but not
	// session_count.
	last
	// second makes a name secret after certain words: api key.
	second
	// cursor before "token" makes it a position, a counter or a coin.
	cursor
	// head and tail, at their end of a longer name, make it a fact about a
	// secret: has_password, token_count.
	head
	tail
	// param is the name of a URI parameter that is secret only there.
	param
	// signed as the last word of a URI parameter makes it secret:
	// X-Amz-Signature.
	signed
)

// roles is the vocabulary of names.
var roles = func() map[string]role {
	m := map[string]role{}
	for r, list := range roleWords {
		for w := range strings.FieldsSeq(list) {
			m[w] |= r
		}
	}
	for w := range compounds {
		m[w] |= second
	}
	return m
}()

var roleWords = map[role]string{
	strong: `
	password passwords passwd passwds pwd pwds passphrase passphrases passcode
	secret secrets credential credentials cred creds
	authorization cookie cookies setcookie jwt
	assertion otp totp cvv cvc mnemonic seedphrase
	apikey apikeys accesskey accesskeys secretkey secretkeys privatekey privatekeys
	accesstoken accesstokens refreshtoken refreshtokens authtoken authtokens apitoken
	sessionid sessionids sessid phpsessid jsessionid mcpsessionid connectsid
	codeverifier requeststate connectionstring connstr sharedaccesssignature`,
	last: `session auth bearer`,
	cursor: `
	progress page next previous prev continuation continue cursor sync resume pagination paging skip
	cancel cancellation change stop eos bos eot pad unk cls sep mask special start end first last per
	erc nft native governance quote fungible lp max min num input output prompt completion`,
	head: `
	has is no needs need requires require required allow allows enable disable show hide use uses
	max min num total count validate supports supported`,
	tail: `
	name names type types kind format alg algorithm algorithms method methods mode version
	count counts total max min limit limits length len size bytes chars used usage left remaining
	spent budget quota rate window cost price amount balance supply symbol decimals address contract
	mint in out per
	created expires expired expiry expiration at on until since age date time timestamp duration
	seconds ms ttl lifetime timeout interval valid validity verified
	required optional enabled disabled supported allowed present exists missing changed rotated
	revoked status strength complexity policy policies rule rules
	endpoint endpoints url urls uri uris server servers issuer audience scope scopes location
	consent banner domain samesite path paths file files filename dir directory
	ref refs arn manager store provider providers field fields column label title description
	message error errors
	go js ts tsx jsx mjs py rs java rb php cpp cc kt cs swift scala`,
	param: `
	sig signature key code state sid pw pass ticket hmac tkn samlresponse samlrequest samlart
	relaystate awsaccesskeyid googleaccessid sharedkey`,
	signed: `signature sig`,
}

// strongSuffixes are looked for at the end of a word written without
// separators, as in dbpassword.
var strongSuffixes = []string{
	"password", "passwd", "passphrase", "secret", "apikey", "accesskey", "secretkey", "privatekey", "credentials",
}

// compounds lists, for a last word, the words before it that make a secret.
var compounds = map[string]wordSet{
	"key":      keyKinds,
	"keys":     keyKinds,
	"tokens":   setOf(`access refresh auth api bearer id session security secret csrf xsrf github gitlab slack`),
	"id":       setOf(`session sess`),
	"ids":      setOf(`session sess`),
	"hash":     setOf(`session`),
	"value":    setOf(`session`),
	"data":     setOf(`session`),
	"state":    setOf(`session request relay`),
	"code":     setOf(`auth authorization device verification recovery backup passcode security mfa otp`),
	"codes":    setOf(`recovery backup`),
	"verifier": setOf(`code pkce`),
	"phrase":   setOf(`seed recovery pass mnemonic`),
	"word":     setOf(`pass`),
	"string":   setOf(`connection conn`),
	"str":      setOf(`connection conn`),
	"pass":     setOf(`user db database smtp imap ftp sftp ssh mysql postgres redis admin root sudo mail proxy login basic`),
	"pat":      setOf(`github gitlab azure ado devops jira`),
}

// keyKinds are the words that make "key" a secret.
var keyKinds = setOf(`
	api access secret private encryption decryption signing shared master account auth
	subscription license service session hmac aes symmetric client deploy admin webhook security
	functions function app application integration ssh gpg pgp recovery openai anthropic
	stripe datadog dd sendgrid gemini`)

// cursorSuffixes are looked for before token in one word: pagetoken.
var cursorSuffixes = []string{"progress", "page", "next", "continuation", "sync", "cancellation", "resume"}

// prose are words that follow "token:" or "Bearer" in an error message and
// are no secret.
var prose = setOf(`
	a an and are as at authentication authorization auth bad be boolean bool but by can cannot
	could create credential credentials delete denied did disabled does empty error errors expected
	expired expires failed failure for forbidden format found from get got had has have header headers
	if in incorrect insufficient invalid is issued it its jwt key length list malformed mismatch missing
	must name nil no none not null number object of on only optional or please prefix present read
	refresh rejected required requires reset revoked scheme schemes see set should signature something
	started string str that the this to token tokens too type unauthorized undefined unexpected unknown
	unsupported update use used using valid value was were when which will with without write wrong you
	your array any public connection certificate unavailable permission unreachable configuration
	verification unrecognized`)

// schemes are words of an Authorization header that are followed by the
// credentials.
var schemes = setOf(`
	bearer basic splunk token apikey digest negotiate ntlm dpop hawk oauth signature sharedkey
	sharedkeylite gnap hoba mutual vapid awshmacsha`)
