package rest

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// connectionHeaders belong to the connection or are derived from the request (RFC 9110, sections
// 7.2, 7.6.1 and 8.6): net/http sets them.
var connectionHeaders = []string{
	"Host", "Content-Length", "Transfer-Encoding", "Connection", "Keep-Alive", "Proxy-Connection",
	"Upgrade", "Te", "Trailer",
}

// check reports what is wrong with a request, by the name of the field. It shows no values. A client
// asks it too, since the request may come from another process.
func (r Request) check() error {
	if !slices.Contains(methods, r.Method) {
		return fmt.Errorf("check method: %q is none of %s", r.Method, strings.Join(methods, ", "))
	}
	if !utf8.ValidString(r.URL) {
		return errors.New("check url: it is not UTF-8")
	}
	if r.Timeout < 0 {
		return fmt.Errorf("check timeout: %v is negative", r.Timeout)
	}
	for _, p := range r.Header {
		if err := checkHeader(p); err != nil {
			return err
		}
	}
	for _, name := range r.Record {
		if !isToken(name) {
			return fmt.Errorf("check recorded header %q: it is not a valid name", name)
		}
		if isCredential(name, nil) {
			return fmt.Errorf("check recorded header %s: it carries credentials, which are not recorded", name)
		}
	}
	for _, status := range r.Accept {
		if status < 200 || status > 999 {
			return fmt.Errorf("check accepted status: %d is not from 200 to 999", status)
		}
	}
	for _, p := range slices.Concat(r.Query, r.Header, r.Form) {
		if !utf8.ValidString(p.Name + p.Value + p.Prefix + p.Secret) { // the record would change it
			return fmt.Errorf("check %q: the name or the value is not UTF-8", p.Name)
		}
		if p.Redacted && p.Secret == "" && p.Value != "" {
			return fmt.Errorf("check %s: it is redacted and has a value", p.Name)
		}
	}
	return nil
}

func checkHeader(p Param) error {
	switch name := http.CanonicalHeaderKey(p.Name); {
	case !isToken(p.Name):
		return fmt.Errorf("check header %q: it is not a valid name", p.Name)
	case slices.Contains(connectionHeaders, name):
		return fmt.Errorf("check header %s: it cannot be set", name)
	}
	return checkHeaderValue(p.Name, p.Prefix+p.Value)
}

// checkHeaderValue refuses what could end a header early (RFC 9110, section 5.5).
func checkHeaderValue(name, value string) error {
	for _, b := range []byte(value) {
		if b < ' ' && b != '\t' || b == 0x7f {
			return fmt.Errorf("check header %s: the value has the control character %#02x", name, b)
		}
	}
	return nil
}

// isToken reports whether a name is a token in the sense of RFC 9110, section 5.6.2.
func isToken(name string) bool {
	for _, b := range []byte(name) {
		letter := 'a' <= b|0x20 && b|0x20 <= 'z'
		if !letter && (b < '0' || b > '9') && !strings.ContainsRune("!#$%&'*+-.^_`|~", rune(b)) {
			return false
		}
	}
	return name != ""
}

var quoted = regexp.MustCompile(`"(\\.|[^"\\])*"`)

// parseFault is the reason of an error of url.Parse, without the parts of the URL that it quotes.
func parseFault(err error) string {
	if parse, ok := errors.AsType[*url.Error](err); ok {
		err = parse.Err
	}
	return quoted.ReplaceAllString(err.Error(), `"…"`)
}
