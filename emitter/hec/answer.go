package hec

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/vmcp-audit/vmcp-audit/emitter"
)

// action is what an answer means for the request it was given to.
type action uint8

const (
	again   action = iota // not taken; the same later. The safe one, for whatever is not known
	taken                 // the events are in the collector
	slower                // the same, and it asks to be given less
	crowded               // as again; another channel may have room
	blocked               // a fault of the configuration: nothing passes until it is mended
	refused               // blocked, unless a token that has changed helps
	bad                   // one event is not taken for good; the answer names it
	large                 // the body is too large
	noAcks                // the token has no acknowledgements
)

type verdict struct {
	do   action
	hint string // what the reader of the error can do
}

const (
	codeNoData         = 5
	codeInvalidFormat  = 6
	codeIncorrectIndex = 7
)

// codes says what each code of HEC means for us. Decided by what is lost if it
// was wrong: only what is surely the fault of one event is [bad].
var codes = map[int]verdict{
	0:  {taken, ""},
	1:  {refused, "the token is disabled: enable it"},
	2:  {refused, "no token arrived: does something in between drop the Authorization header?"},
	3:  {refused, "the token was not understood: does something in between change the Authorization header?"},
	4:  {refused, "the token is not known: check it"},
	5:  {blocked, "the body did not arrive: does something in between drop it?"}, // we never send an empty one
	6:  {bad, ""},
	7:  {blocked, "create the index or allow it for the token"},
	8:  {again, ""},
	9:  {again, ""},
	10: {blocked, "no channel arrived: does something in between drop the X-Splunk-Request-Channel header?"},
	11: {blocked, "the channel arrived changed: does something in between change the X-Splunk-Request-Channel header?"},
	12: {bad, ""},
	13: {bad, ""},
	14: {noAcks, "enable indexer acknowledgement for the token, or switch it off here"},
	15: {bad, ""},
	16: {blocked, "the token came in the query: does something in between put it there?"},
	17: {blocked, "the health endpoint has answered: check the path of the URL"},
	18: {again, ""},
	19: {again, ""},
	20: {again, ""},
	21: {refused, "the token is not known: check it"},
	22: {refused, "the token is disabled: enable it"},
	23: {again, ""},
	24: {slower, ""},
	25: {slower, ""},
	26: {again, ""},
	27: {crowded, ""},
	28: {blocked, "the channel is not known: the balancer in front of the indexers must be sticky"},
}

// statuses says what an HTTP status means where no code does; the first range
// that fits counts. A 400 without a code is from something in between, which
// may refuse everything: it must not empty the spool into the dead letters.
var statuses = []struct {
	from, to int
	verdict
}{
	{300, 399, verdict{blocked, "use the URL of the collector itself"}},
	{401, 401, verdict{refused, "check the token"}},
	{403, 403, verdict{refused, "check the token, and what stands in between"}},
	{404, 405, verdict{blocked, "no collector there: check host, port and path of the URL"}},
	{408, 408, verdict{again, ""}},
	{413, 413, verdict{large, "more than the collector, or something in between, takes"}},
	{415, 415, verdict{blocked, "switch compression off"}},
	{425, 425, verdict{again, ""}},
	{429, 429, verdict{again, ""}},
	{400, 499, verdict{blocked, "check what stands between us and the collector"}},
}

// answer is what came back for one request.
type answer struct {
	status      int
	contentType string
	location    string        // host that a redirect leads to
	retryAfter  time.Duration // 0: not said

	code    number // of HEC; not set: the answer is not from HEC
	text    string // of HEC, cleaned
	invalid number // index of the event that is not taken
	ackID   number
	acks    map[string]bool // of the ack endpoint, nil elsewhere
}

// maxAnswer bounds what is read of an answer's body, in bytes.
const maxAnswer = 64 << 10

// readAnswer reads and closes resp. secret is taken out of all text.
func readAnswer(resp *http.Response, secret string) (answer, error) {
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return answer{}, err
	}
	a := answer{
		status:      resp.StatusCode,
		contentType: clean(resp.Header.Get("Content-Type"), secret),
		retryAfter:  retryAfter(resp.Header.Get("Retry-After"), time.Now()),
	}
	if u, err := url.Parse(resp.Header.Get("Location")); err == nil {
		a.location = clean(u.Host, secret)
	}
	a.decode(body, secret)
	return a, nil
}

// decode takes from body what is of use. It is lenient: collectors that are
// not Splunk's write ackID, "" for none, and numbers as strings. Keys match in
// any case, and a value of the wrong type is as good as none.
func (a *answer) decode(body []byte, secret string) {
	var b struct {
		Text    string          `json:"text"`
		Code    number          `json:"code"`
		Invalid number          `json:"invalid-event-number"`
		AckID   number          `json:"ackId"`
		Acks    map[string]bool `json:"acks"`
	}
	if !json.Valid(body) {
		return
	}
	_ = json.Unmarshal(body, &b) // what does not fit is left out, the rest is there
	a.code, a.invalid, a.ackID, a.acks = b.Code, b.Invalid, b.AckID, b.Acks
	a.text = clean(b.Text, secret)
}

// verdict decides by code, and by status where there is no code that counts.
func (a answer) verdict() verdict {
	v, known := codes[int(a.code.value)]
	success := v.do == taken || v.do == slower
	if a.code.set && known && (!success || a.status == http.StatusOK) {
		return v
	}
	for _, s := range statuses {
		if s.from <= a.status && a.status <= s.to {
			return s.verdict
		}
	}
	return verdict{do: again} // 5xx, and a 200 that is not from HEC, such as a login page
}

// describe says in words what came back.
func (a answer) describe() string {
	text := "status " + strconv.Itoa(a.status)
	switch {
	case a.code.set:
		text += fmt.Sprintf(", code %d %q", a.code.value, a.text)
	case a.status/100 == 3:
		text += fmt.Sprintf(", a redirect to %q", a.location)
	case a.status/100 == 2:
		text += fmt.Sprintf(" with %q, which is no answer of a collector", cmp.Or(a.contentType, "nothing"))
	}
	return text
}

// refusal returns a as an error without a class.
func (s *Sink) refusal(a answer) error {
	text := a.describe()
	if a.code.is(codeIncorrectIndex) {
		text += fmt.Sprintf(", index %q", cmp.Or(s.opt.Index, "the default of the token"))
	}
	if hint := a.verdict().hint; hint != "" {
		text += ": " + hint
	}
	return fmt.Errorf("hec %s: %s", s.where, text)
}

// fail returns a as an error of the class that its verdict asks for.
func (s *Sink) fail(a answer) error {
	err := s.refusal(a)
	switch a.verdict().do {
	case blocked, refused, noAcks:
		return emitter.Blocked(err)
	case bad, large:
		return emitter.Permanent(err)
	default:
		if a.retryAfter > 0 {
			err = emitter.RetryAfter(a.retryAfter, err)
		}
		return err
	}
}

// number is an integer that may be written as a string. It never fails to
// decode: what is no integer is not set.
type number struct {
	value int64
	set   bool
}

func (n *number) UnmarshalJSON(text []byte) error {
	v, err := strconv.ParseInt(strings.Trim(string(text), `"`), 10, 64)
	*n = number{value: v, set: err == nil}
	return nil
}

func (n number) is(v int64) bool { return n.set && n.value == v }

// retryAfter reads the header of that name: seconds or a date. It returns 0
// for what is not understood or past, and never more than a day.
func retryAfter(header string, now time.Time) time.Duration {
	const longest = 24 * time.Hour
	var d time.Duration
	if seconds, err := strconv.Atoi(header); err == nil {
		d = time.Duration(min(seconds, int(longest/time.Second))) * time.Second
	} else if date, err := http.ParseTime(header); err == nil {
		d = date.Sub(now)
	}
	return min(max(d, 0), longest)
}

// maxText bounds what of a stranger's text stands in an error, in bytes.
const maxText = 200

// clean makes text of a stranger fit for an error: without secret, without
// control and invisible characters, short.
func clean(text, secret string) string {
	if secret != "" {
		text = strings.ReplaceAll(text, secret, "<redacted>")
	}
	text = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, text)
	if len(text) > maxText {
		text = strings.ToValidUTF8(text[:maxText], "") + "…"
	}
	return text
}
