package rest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

// Request is the recorded input of a service call. It is whole: a process that has nothing else can
// perform it, unless a credential in it is redacted.
type Request struct {
	Method     string
	URL        string        // without user, fragment and credentials in the query
	Query      []Param       // added to the URL's query, in this order
	Header     []Param       // what the caller set, and Content-Type
	Form       []Param       // the body, when it is a form
	Body       []byte        // the body, when it is no form
	Accept     []int         // statuses that are a success, beside 200 to 299
	Record     []string      // response headers to record, beside the usual ones
	Idempotent bool          // POST and PATCH may be attempted again
	Timeout    time.Duration // of one attempt, in whole milliseconds; 0 for the client's
}

// Param is a header, a query parameter or a form field. It has a value, or it refers to a secret, or
// its value was a credential and is not recorded.
type Param struct {
	Name     string `json:"name"`
	Value    string `json:"value,omitempty"`
	Secret   string `json:"secret,omitempty"` // the secret's name
	Prefix   string `json:"prefix,omitempty"` // in front of the secret's value
	Redacted bool   `json:"redacted,omitempty"`
}

func newParam[V Value](name string, value V) (Param, error) {
	switch v := any(value).(type) {
	case Reference:
		if v.name == "" {
			return Param{}, fmt.Errorf("check %s: the secret has no name", name)
		}
		return Param{Name: name, Secret: v.name, Prefix: v.prefix}, nil
	case string:
		return Param{Name: name, Value: v}, nil
	}
	return Param{}, fmt.Errorf("check %s: a %T is neither a string nor a secret", name, value)
}

func paramsOf(values url.Values) []Param {
	var params []Param
	for _, name := range slices.Sorted(maps.Keys(values)) {
		for _, value := range values[name] {
			params = append(params, Param{Name: name, Value: value})
		}
	}
	return params
}

type requestRecord struct {
	Method string  `json:"method"`
	URL    string  `json:"url"`
	Query  []Param `json:"query,omitempty"`
	Header []Param `json:"header,omitempty"`
	Form   []Param `json:"form,omitempty"`
	bodyRecord
	Accept     []int    `json:"accept,omitempty"`
	Record     []string `json:"record,omitempty"`
	Idempotent bool     `json:"idempotent,omitempty"`
	Timeout    int64    `json:"timeoutMillis,omitempty"`
}

// MarshalJSON writes the request with its body as JSON, text or base64, so that a person can read it.
func (r Request) MarshalJSON() ([]byte, error) {
	return json.Marshal(requestRecord{
		Method: r.Method, URL: r.URL, Query: r.Query, Header: r.Header, Form: r.Form,
		bodyRecord: recordBody(r.Body, r.contentType()),
		Accept:     r.Accept, Record: r.Record, Idempotent: r.Idempotent, Timeout: r.Timeout.Milliseconds(),
	})
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (r *Request) UnmarshalJSON(text []byte) error {
	var d requestRecord
	if err := json.Unmarshal(text, &d); err != nil {
		return err
	}
	*r = Request{
		Method: d.Method, URL: d.URL, Query: d.Query, Header: d.Header, Form: d.Form, Body: d.bytes(),
		Accept: d.Accept, Record: d.Record, Idempotent: d.Idempotent,
		Timeout: time.Duration(d.Timeout) * time.Millisecond,
	}
	return nil
}

func (r Request) contentType() string {
	for _, p := range r.Header {
		if strings.EqualFold(p.Name, "Content-Type") {
			return p.Value
		}
	}
	return ""
}

// call gathers what an operation was called with.
type call struct {
	method, url string
	body        any

	header, query []Param
	accept        []int
	redact        []string
	record        []string
	idempotent    bool
	timeout       time.Duration
	fault         error // the first mistake in an option
}

// build makes the request that is recorded, and the credentials that are not.
func (c call) build() (Request, credentials, error) {
	if c.fault != nil {
		return Request{}, nil, c.fault
	}
	r := Request{
		Method: c.method, Accept: c.accept, Record: c.record, Idempotent: c.idempotent, Timeout: c.timeout,
	}
	target, err := c.parseURL()
	if err != nil {
		return Request{}, nil, err
	}
	r.URL, r.Query = target, c.query
	if err := c.setBody(&r); err != nil {
		return Request{}, nil, err
	}
	r.Header = c.header
	live := credentials{}
	live.redactAll(placeQuery, r.Query, c.redact)
	live.redactAll(placeHeader, r.Header, c.redact)
	live.redactAll(placeForm, r.Form, c.redact)
	if err := r.check(); err != nil {
		return Request{}, nil, err
	}
	return r, live, nil
}

// parseURL returns the URL without credentials: those of the query become parameters, a user becomes
// a header.
func (c *call) parseURL() (string, error) {
	u, err := parseTarget(c.url)
	if err != nil {
		return "", err
	}
	if u.User != nil {
		if hasParam(c.header, "Authorization") {
			return "", errors.New("check url: it has a user, and the header Authorization is set too")
		}
		password, _ := u.User.Password()
		basic := &http.Request{Header: http.Header{}}
		basic.SetBasicAuth(u.User.Username(), password)
		c.header = append(c.header, Param{Name: "Authorization", Value: basic.Header.Get("Authorization")})
	}
	u.User, u.Fragment, u.RawFragment = nil, "", ""
	var kept []string
	var moved []Param
	for part := range strings.SplitSeq(u.RawQuery, "&") {
		rawName, rawValue, _ := strings.Cut(part, "=")
		name, err1 := url.QueryUnescape(rawName)
		value, err2 := url.QueryUnescape(rawValue)
		if err1 != nil || err2 != nil {
			return "", errors.New("check url: its query has an invalid escape")
		}
		if isCredential(name, c.redact) {
			moved = append(moved, Param{Name: name, Value: value})
		} else if part != "" {
			kept = append(kept, part)
		}
	}
	u.RawQuery = strings.Join(kept, "&")
	c.query = append(moved, c.query...)
	return u.String(), nil
}

// parseTarget checks a URL. Its errors show nothing of the URL, since a password may be in it.
func parseTarget(target string) (*url.URL, error) {
	u, err := url.Parse(target)
	switch {
	case err != nil:
		return nil, fmt.Errorf("check url: it is not a valid URL: %s", parseFault(err))
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, fmt.Errorf("check url: the scheme is %q, it must be http or https", u.Scheme)
	case u.Hostname() == "" || u.Opaque != "":
		return nil, errors.New("check url: it has no host")
	}
	return u, nil
}

func (c *call) setBody(r *Request) error {
	contentType := "application/json"
	switch body := c.body.(type) {
	case nil:
		return nil
	case RawBody:
		r.Body, contentType = body.data, body.contentType
	case url.Values:
		r.Form, contentType = paramsOf(body), "application/x-www-form-urlencoded"
	case []byte:
		return errors.New("check body: a []byte is either JSON (use json.RawMessage) or not (use rest.Raw)")
	case io.Reader:
		return errors.New("check body: a reader cannot be recorded: use rest.Raw")
	default:
		encoded, err := json.Marshal(body)
		if err != nil {
			return fmt.Errorf("encode body: %w: %w", lambdabiz.ErrInvalidPayload, err)
		}
		r.Body = encoded
	}
	if contentType != "" && !hasParam(c.header, "Content-Type") {
		c.header = append(c.header, Param{Name: "Content-Type", Value: contentType})
	}
	return nil
}

func hasParam(params []Param, name string) bool {
	return slices.ContainsFunc(params, func(p Param) bool { return strings.EqualFold(p.Name, name) })
}
