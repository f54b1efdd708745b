package rest

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode"
)

// redacted stands for a credential in texts.
const redacted = "REDACTED"

// credentialParts are found anywhere in the name of a credential, which is compared in lower case and
// without separators. Too many is better than too few: what is redacted still works.
var credentialParts = []string{
	"authorization", "cookie", "token", "secret", "password", "passwd", "passphrase", "passcode",
	"signature", "credential", "apikey", "accesskey", "sessionid", "sessid", "jwt", "codeverifier",
	"assertion", "devicecode", "authcode", "accesscode", "verificationcode", "securitycode", "recoverycode",
	"backupcode", "onetimecode", "samlresponse", "samlrequest", "samlart", "connectionstring", "connstr",
	"mnemonic",
}

// credentialSuffix ends the names of many more: X-Functions-Key, Ocp-Apim-Subscription-Key.
const credentialSuffix = "key"

// credentialNames are whole names of credentials.
var credentialNames = []string{
	"code", "sig", "sas", "pass", "auth", "xauth", "sid", "connectsid", "bearer", "dsn", "hmac",
}

// credentialWords are words in the names of credentials that are too short to be looked for anywhere:
// card_cvc, userPin, X-OTP, otp_code.
var credentialWords = []string{
	"otp", "totp", "hotp", "pin", "tan", "mfa", "cvv", "cvv2", "cvc", "cvc2", "csc", "pwd",
}

// plainSuffixes end the names of what is no credential: places in a list, and keys of data.
var plainSuffixes = []string{
	"pagetoken", "nexttoken", "continuationtoken", "synctoken", "idempotencykey", "sortkey", "partitionkey",
	"primarykey", "routingkey", "cachekey", "surrogatekey",
}

var separators = strings.NewReplacer("-", "", "_", "", ".", "", "[", "", "]", "", " ", "")

// isCredential reports whether a header, query parameter or form field of that name is a credential.
// The further names are the caller's.
func isCredential(name string, further []string) bool {
	if slices.ContainsFunc(further, func(f string) bool { return strings.EqualFold(f, name) }) {
		return true
	}
	plain := separators.Replace(strings.ToLower(name))
	has := func(part string) bool { return strings.Contains(plain, part) }
	ends := func(suffix string) bool { return strings.HasSuffix(plain, suffix) }
	if slices.ContainsFunc(plainSuffixes, ends) {
		return false
	}
	return slices.Contains(credentialNames, plain) || ends(credentialSuffix) ||
		slices.ContainsFunc(credentialParts, has) ||
		slices.ContainsFunc(words(name), func(word string) bool { return slices.Contains(credentialWords, word) })
}

// words splits a name at what is no letter or digit, and before a capital letter that follows a small
// one, and returns the words in lower case.
func words(name string) []string {
	var b strings.Builder
	small := false
	for _, r := range name {
		if small && unicode.IsUpper(r) {
			b.WriteByte(' ')
		}
		small = unicode.IsLower(r) || unicode.IsDigit(r)
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			r = ' '
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return strings.Fields(b.String())
}

type credentialsKey struct{}

// credentials are the values that a recorded request lacks, by their place in it. They travel in the
// context of the call.
type credentials map[place]string

// place names a redacted value: the nth of its name. It does not count what has other names, so that
// it stays when the code changes elsewhere.
type place struct {
	kind, name string
	nth        int
}

const (
	placeQuery  = "query parameter"
	placeHeader = "header"
	placeForm   = "form field"
)

// redactAll moves the credentials out of the parameters.
func (c credentials) redactAll(kind string, params []Param, further []string) {
	for i := range params {
		p := &params[i]
		if p.Secret == "" && !p.Redacted && isCredential(p.Name, further) {
			value := p.Value
			p.Value, p.Redacted = "", true
			c[placeOf(kind, params, i)] = value
		}
	}
}

func placeOf(kind string, params []Param, i int) place {
	name := strings.ToLower(params[i].Name)
	p := place{kind: kind, name: name}
	for _, before := range params[:i] {
		if before.Redacted && strings.EqualFold(before.Name, name) {
			p.nth++
		}
	}
	return p
}

// find returns the value of a redacted parameter.
func (c credentials) find(kind string, params []Param, i int) (string, error) {
	value, ok := c[placeOf(kind, params, i)]
	if !ok {
		return "", fmt.Errorf("%s %s: it is redacted in the record, and this process was not given its value: "+
			"use rest.Secret", kind, params[i].Name)
	}
	return value, nil
}

// redactURL returns a URL for records and messages: without user, and with the values of credentials
// replaced.
func redactURL(u *url.URL) string {
	shown := *u
	if shown.User != nil {
		shown.User = url.User(redacted)
	}
	if shown.RawQuery != "" {
		parts := strings.Split(shown.RawQuery, "&")
		for i, part := range parts {
			rawName, rawValue, _ := strings.Cut(part, "=")
			name, err := url.QueryUnescape(rawName)
			value, err2 := url.QueryUnescape(rawValue)
			// A value may be a URL itself, with credentials of its own.
			if err != nil || isCredential(name, nil) || err2 == nil && redactText(value) != value {
				parts[i] = rawName + "=" + redacted
			}
		}
		shown.RawQuery = strings.Join(parts, "&")
	}
	// OAuth's implicit flow puts tokens into the fragment of a Location (RFC 6749, section 4.2.2).
	shown.Fragment, shown.RawFragment = "", ""
	return shown.String()
}

// redactLocation is redactURL for what a service sent.
func redactLocation(location string) string {
	u, err := url.Parse(location)
	if err != nil {
		return redacted
	}
	return redactURL(u)
}

var (
	userInText = regexp.MustCompile(`//[^/?#@\s<>"',;]*@`)
	pairInText = regexp.MustCompile(`([?&#;,\s<>"'({]|^)([^?&#;,\s<>"'(){}=/:]+)=("[^"]*"|[^&#;,\s<>"']*)`)
)

// redactText takes credentials out of a text with URLs or pairs in it, as in the headers Link and
// Refresh: users before a host, and the values of pairs whose name speaks of a credential.
func redactText(text string) string {
	text = userInText.ReplaceAllString(text, "//"+redacted+"@")
	return pairInText.ReplaceAllStringFunc(text, func(pair string) string {
		m := pairInText.FindStringSubmatch(pair)
		name, err := url.QueryUnescape(m[2])
		value, err2 := url.QueryUnescape(m[3])
		if err != nil || isCredential(name, nil) || err2 == nil && value != m[3] && redactText(value) != value {
			return m[1] + m[2] + "=" + redacted
		}
		return pair
	})
}

// shownURL is the request's URL with all of its query, for messages.
func (r Request) shownURL() string {
	u, err := url.Parse(r.URL)
	if err != nil {
		return redacted
	}
	shown := redactURL(u)
	var params []Param
	for _, p := range r.Query {
		if p.Redacted || p.Secret != "" {
			p.Value = redacted
		}
		params = append(params, p)
	}
	return addQuery(shown, encodeParams(params, "%20"))
}

func addQuery(target, query string) string {
	switch {
	case query == "":
		return target
	case strings.Contains(target, "?"):
		return target + "&" + query
	default:
		return target + "?" + query
	}
}

// encodeParams encodes parameters in their order. The space is "%20" in a query (RFC 3986), which
// everybody reads, and "+" in a form.
func encodeParams(params []Param, space string) string {
	var b strings.Builder
	for i, p := range params {
		if i > 0 {
			b.WriteByte('&')
		}
		b.WriteString(escape(p.Name, space) + "=" + escape(p.Value, space))
	}
	return b.String()
}

func escape(text, space string) string {
	return strings.ReplaceAll(url.QueryEscape(text), "+", space)
}

// leastSecret is the length of a value that is looked for in texts.
const leastSecret = 4

// scrub takes the given values out of a text. Short ones are left: they say nothing, and would
// garble it.
func scrub(text string, values []string) string {
	for _, v := range values {
		if len(v) >= leastSecret {
			text = strings.ReplaceAll(text, v, redacted)
		}
	}
	return text
}
