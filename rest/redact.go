package rest

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// redacted stands for a credential in texts.
const redacted = "REDACTED"

// credentialParts are found anywhere in the name of a credential, which is compared in lower case and
// without separators. Too many is better than too few: what is redacted still works.
var credentialParts = []string{
	"authorization", "cookie", "token", "secret", "password", "passwd", "passphrase", "passcode",
	"signature", "credential", "apikey", "accesskey", "sessionid", "jwt", "codeverifier",
}

// credentialSuffix ends the names of many more: X-Functions-Key, Ocp-Apim-Subscription-Key.
const credentialSuffix = "key"

// credentialNames are whole names of credentials.
var credentialNames = []string{"code", "sig", "sas", "pwd", "pass", "auth", "assertion", "xauth"}

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
		slices.ContainsFunc(credentialParts, has)
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
			rawName, _, _ := strings.Cut(part, "=")
			if name, err := url.QueryUnescape(rawName); err != nil || isCredential(name, nil) {
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

// scrub takes the given values out of a text. Short ones are left: they say nothing, and would
// garble it.
func scrub(text string, values []string) string {
	for _, v := range values {
		if len(v) >= 4 {
			text = strings.ReplaceAll(text, v, redacted)
		}
	}
	return text
}
