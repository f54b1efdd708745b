package rest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// roundTrip sends the request once, without following redirects.
func (a *attempt) roundTrip(ctx context.Context) (*http.Response, error) {
	a.sent = false
	req := (&http.Request{
		Method: a.method, URL: a.url, Host: a.url.Host, Header: a.header.Clone(),
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}).WithContext(ctx)
	if len(a.body) > 0 {
		open := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(a.body)), nil }
		req.Body, _ = open()
		req.GetBody, req.ContentLength = open, int64(len(a.body))
	}
	if a.req.repeatable() || a.method == http.MethodGet {
		// The transport may send it again by itself, with GetBody, and whether it was sent does not matter.
		a.sent = true
		return a.client.transport.RoundTrip(req)
	}
	resp, sent, err := a.client.once.roundTrip(a.client.transport, req)
	a.sent = sent
	return resp, err
}

// redirect prepares the next request if the response is a redirect to follow (RFC 9110, section 15.4).
func (a *attempt) redirect(resp *http.Response) (bool, error) {
	followed := []int{301, 302, 303, 307, 308}
	most := a.client.config.MaxRedirects
	location := resp.Header.Get("Location")
	if !slices.Contains(followed, resp.StatusCode) || slices.Contains(a.req.Accept, resp.StatusCode) ||
		location == "" || most < 0 {
		return false, nil
	}
	if a.hops++; a.hops > most {
		return false, a.fail(ReasonRefused, fmt.Sprintf("more than %d redirects", most), ErrRefused)
	}
	target, err := a.url.Parse(location)
	if err != nil {
		return false, a.fail(ReasonRefused, "redirect to an invalid URL: "+parseFault(err), ErrRefused)
	}
	if why := refuseRedirect(a.url, target); why != "" {
		return false, a.fail(ReasonRefused, "redirect "+why, ErrRefused)
	}
	target.Fragment, target.RawFragment = "", ""
	a.changeMethod(resp.StatusCode)
	if !sameOrigin(a.url, target) {
		if field := a.bodyCredential(); field != "" {
			return false, a.fail(ReasonRefused, "redirect to another origin, with a credential in the body: "+field, ErrRefused)
		}
		for _, name := range a.guarded {
			a.header.Del(name)
		}
	}
	a.url = target
	return true, nil
}

func refuseRedirect(from, to *url.URL) string {
	switch {
	case to.Scheme != "http" && to.Scheme != "https":
		return fmt.Sprintf("to the scheme %q", to.Scheme)
	case from.Scheme == "https" && to.Scheme == "http":
		return "from https to http"
	case to.User != nil:
		return "to a URL with a user"
	case to.Hostname() == "":
		return "to a URL without a host"
	}
	return ""
}

// sameOrigin compares scheme, host and port (RFC 6454, section 4).
func sameOrigin(a, b *url.URL) bool {
	return a.Scheme == b.Scheme && hostName(a.Hostname()) == hostName(b.Hostname()) && portOf(a) == portOf(b)
}

func portOf(u *url.URL) string {
	if port := u.Port(); port != "" {
		return port
	}
	if u.Scheme == "https" {
		return "443"
	}
	return "80"
}

// changeMethod makes a GET of what the status says is answered elsewhere: 303 for every method but
// HEAD, 301 and 302 for POST. All else keeps method and body.
func (a *attempt) changeMethod(status int) {
	toGet := status == http.StatusSeeOther && a.method != http.MethodHead ||
		(status == http.StatusMovedPermanently || status == http.StatusFound) && a.method == http.MethodPost
	if !toGet || a.method == http.MethodGet {
		return
	}
	a.acted = true
	a.method, a.body = http.MethodGet, nil
	for name := range a.header {
		if strings.HasPrefix(name, "Content-") {
			a.header.Del(name)
		}
	}
}

// bodyCredential names a field of the body, as it would go out next, that carries a credential. "" is
// none.
func (a *attempt) bodyCredential() string {
	if len(a.body) == 0 {
		return ""
	}
	for _, p := range a.req.Form {
		if p.Secret != "" || p.Redacted || isCredential(p.Name, nil) {
			return strconv.Quote(p.Name)
		}
	}
	if len(a.req.Form) > 0 {
		return ""
	}
	for _, secret := range a.secrets { // the caller may have put the same into both
		if len(secret) >= leastSecret && bytes.Contains(a.body, []byte(secret)) {
			return "the value of a credential"
		}
	}
	media, params, err := mime.ParseMediaType(a.header.Get("Content-Type"))
	switch {
	case err != nil:
		return ""
	case media == "application/x-www-form-urlencoded":
		return formCredential(string(a.body))
	case isJSON(media):
		var value any
		if err := json.Unmarshal(withoutMark(a.body), &value); err != nil {
			return ""
		}
		return valueCredential(value)
	case strings.HasPrefix(media, "multipart/"):
		return partCredential(multipart.NewReader(bytes.NewReader(a.body), params["boundary"]))
	}
	return ""
}

func formCredential(form string) string {
	for part := range strings.SplitSeq(form, "&") {
		name, _, _ := strings.Cut(part, "=")
		if name, err := url.QueryUnescape(name); err != nil || isCredential(name, nil) {
			return strconv.Quote(name)
		}
	}
	return ""
}

// valueCredential looks for names of credentials in objects, as deep as they are.
func valueCredential(value any) string {
	switch value := value.(type) {
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(value)) {
			if isCredential(name, nil) && value[name] != nil {
				return strconv.Quote(name)
			}
			if field := valueCredential(value[name]); field != "" {
				return field
			}
		}
	case []any:
		for _, element := range value {
			if field := valueCredential(element); field != "" {
				return field
			}
		}
	}
	return ""
}

func partCredential(parts *multipart.Reader) string {
	for {
		part, err := parts.NextRawPart()
		if err != nil {
			return ""
		}
		if name := part.FormName(); name != "" && isCredential(name, nil) {
			return strconv.Quote(name)
		}
	}
}

// discard reads a little of the body, so that the connection can be kept.
func discard(resp *http.Response) {
	_, _ = io.CopyN(io.Discard, resp.Body, 2<<10)
	_ = resp.Body.Close()
}
