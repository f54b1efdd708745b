package rest

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/lambdabiz/lambdabiz"
)

// attempt is one performance of a request.
type attempt struct {
	client *Client
	req    Request
	key    string // for the header Idempotency-Key

	// What goes out next. A redirect changes it.
	method  string
	url     *url.URL
	header  http.Header
	body    []byte
	secrets []string // values that must not appear in a record
	guarded []string // headers that must not reach another origin

	hops  int
	sent  bool // the service may have acted
	acted bool // the service answered an unsafe request with a redirect that drops it
}

// perform makes one attempt. It is the body of all services.
func (c *Client) perform(ctx context.Context, r Request) (Response, error) {
	if err := r.check(); err != nil {
		return Response{}, lambdabiz.NonRetryable(err)
	}
	a := &attempt{client: c, req: r, method: r.Method, body: r.Body}
	if info, ok := lambdabiz.TaskInfoFrom(ctx); ok {
		a.key = info.IdempotencyKey
	}
	within, cancel := context.WithTimeout(ctx, either(r.Timeout, c.config.Timeout))
	defer cancel()
	resp, err := a.run(within)
	if err != nil && ctx.Err() != nil {
		// Not the service's fault: the run was cancelled, or its time is over.
		return Response{}, fmt.Errorf("%s %s: %w", r.Method, r.shownURL(), context.Cause(ctx))
	}
	return resp, err
}

func (a *attempt) run(ctx context.Context) (Response, error) {
	if err := a.prepare(ctx); err != nil {
		return Response{}, err
	}
	for {
		resp, err := a.roundTrip(ctx)
		if err != nil {
			return Response{}, a.transportError(ctx, err)
		}
		next, err := a.redirect(resp)
		if err != nil {
			discard(resp)
			return Response{}, err
		}
		if !next {
			return a.read(ctx, resp)
		}
		discard(resp)
	}
}

// prepare resolves the credentials and puts the request together.
func (a *attempt) prepare(ctx context.Context) error {
	u, err := parseTarget(a.req.URL)
	if err != nil {
		return lambdabiz.NonRetryable(err)
	}
	live, _ := ctx.Value(credentialsKey{}).(credentials)
	query, err := a.resolve(ctx, live, placeQuery, a.req.Query)
	if err != nil {
		return err
	}
	header, err := a.resolve(ctx, live, placeHeader, a.req.Header)
	if err != nil {
		return err
	}
	form, err := a.resolve(ctx, live, placeForm, a.req.Form)
	if err != nil {
		return err
	}
	if len(form) > 0 {
		a.body = []byte(encodeParams(form, "+"))
	}
	if size, limit := int64(len(a.body)), a.client.config.MaxRequestBytes; size > limit {
		return a.fail(ReasonTooLarge, fmt.Sprintf("the request has %d bytes, the limit is %d", size, limit),
			lambdabiz.ErrTooLarge)
	}
	u.User = nil
	u.RawQuery = strings.TrimPrefix(addQuery("?"+u.RawQuery, encodeParams(query, "%20")), "?")
	u.RawQuery = strings.TrimPrefix(u.RawQuery, "&")
	a.url = u
	return a.setHeader(header)
}

// resolve gives each parameter its value.
func (a *attempt) resolve(ctx context.Context, live credentials, kind string, params []Param) ([]Param, error) {
	resolved := slices.Clone(params)
	for i, p := range params {
		switch {
		case p.Secret != "":
			value, err := a.secret(ctx, p.Secret)
			if err != nil {
				return nil, err
			}
			resolved[i].Value = p.Prefix + value
			a.hide(value)
		case p.Redacted:
			value, err := live.find(kind, params, i)
			if err != nil {
				return nil, a.fail(ReasonRequest, err.Error(), nil)
			}
			resolved[i].Value = value
			a.hide(value)
		}
	}
	return resolved, nil
}

// hide remembers a credential, with the forms in which a service may send it back.
func (a *attempt) hide(value string) {
	add := func(v string) { a.secrets = append(a.secrets, v, escape(v, "%20"), escape(v, "+")) }
	add(value)
	if scheme, token, found := strings.Cut(value, " "); found { // Bearer x, Basic x
		add(token)
		if user, err := base64.StdEncoding.DecodeString(token); err == nil && strings.EqualFold(scheme, "Basic") {
			_, password, _ := strings.Cut(string(user), ":")
			add(password)
		}
	}
	for pair := range strings.SplitSeq(value, ";") { // of a cookie
		_, v, _ := strings.Cut(pair, "=")
		add(v)
	}
}

func (a *attempt) secret(ctx context.Context, name string) (string, error) {
	secrets := a.client.config.Secrets
	if secrets == nil {
		return "", a.fail(ReasonRequest, fmt.Sprintf("secret %q: the client has no Config.Secrets", name), nil)
	}
	value, err := secrets(ctx, name)
	if err != nil {
		e := a.fail(ReasonRequest, fmt.Sprintf("secret %q: %v", name, err), err)
		var marked interface{ Retryable() bool }
		e.retry = !errors.As(err, &marked) || marked.Retryable()
		return "", e
	}
	return value, nil
}

func (a *attempt) setHeader(params []Param) error {
	a.header = http.Header{
		"Accept":     {"application/json"},
		"User-Agent": {a.client.config.UserAgent},
	}
	set := map[string]bool{}
	for _, p := range params {
		if err := checkHeaderValue(p.Name, p.Value); err != nil {
			return a.fail(ReasonRequest, err.Error(), nil)
		}
		name := http.CanonicalHeaderKey(p.Name)
		if !set[name] {
			a.header.Del(name)
		}
		set[name] = true
		a.header.Add(name, p.Value)
		if p.Secret != "" || p.Redacted || isCredential(name, nil) {
			a.guarded = append(a.guarded, name)
		}
	}
	// net/http takes a canonical Idempotency-Key as leave to send a request again by itself when a kept
	// connection dies. For POST that is the caller's decision. On the wire case makes no difference.
	key := a.header.Values("Idempotency-Key")
	a.header.Del("Idempotency-Key")
	if len(key) == 0 && a.key != "" {
		key = []string{a.key}
	}
	for _, k := range key {
		if err := checkHeaderValue("Idempotency-Key", k); err != nil {
			return a.fail(ReasonRequest, err.Error(), nil)
		}
		a.header["idempotency-key"] = key
	}
	return nil
}

// read makes the outcome of a response that is no redirect.
func (a *attempt) read(ctx context.Context, resp *http.Response) (Response, error) {
	defer func() { _ = resp.Body.Close() }()
	header := recordHeader(resp.Header, a.req.Record, a.secrets)
	success := resp.StatusCode/100 == 2 || slices.Contains(a.req.Accept, resp.StatusCode)
	limit := a.client.config.MaxResponseBytes
	if !success {
		limit = MaxErrorBody
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if !success {
		return Response{}, a.statusError(resp, header, body)
	}
	if err != nil {
		return Response{}, a.transportError(ctx, err)
	}
	if int64(len(body)) > limit {
		e := a.fail(ReasonTooLarge, fmt.Sprintf("the response has more than %d bytes", limit), lambdabiz.ErrTooLarge)
		e.Status, e.Header = resp.StatusCode, header
		return Response{}, e
	}
	return Response{Status: resp.StatusCode, Header: header, Body: body}, nil
}

// statusError keeps the beginning of the body, whether or not all of it arrived.
func (a *attempt) statusError(resp *http.Response, header http.Header, body []byte) error {
	e := a.fail(ReasonStatus, "", nil)
	e.Status, e.Header = resp.StatusCode, header
	e.setBody([]byte(scrub(string(body), a.secrets)))
	e.retry = a.req.retryStatus(resp.StatusCode) && a.mayRepeat()
	e.wait = retryAfter(resp.Header, a.client.config.MaxRetryAfter)
	return e
}

// transportError is an attempt without a whole answer.
func (a *attempt) transportError(ctx context.Context, err error) error {
	var refused *refusal
	switch {
	case errors.As(err, &refused):
		return a.fail(ReasonRefused, refused.why, ErrRefused)
	case ctx.Err() != nil:
		limit := either(a.req.Timeout, a.client.config.Timeout)
		e := a.fail(ReasonTimeout, fmt.Sprintf("no whole answer within %v", limit), context.DeadlineExceeded)
		e.retry = a.mayRepeat() && (a.req.repeatable() || !a.sent)
		return e
	}
	e := a.fail(ReasonTransport, err.Error(), err)
	e.retry = a.mayRepeat() && (a.req.repeatable() || !a.sent)
	return e
}

// mayRepeat reports whether the request from the start does no harm, given what came of it so far.
func (a *attempt) mayRepeat() bool { return a.req.repeatable() || !a.acted }

// fail makes an error without credentials. It is not retried.
func (a *attempt) fail(reason Reason, message string, err error) *Error {
	e := newError(a.req, reason)
	if a.hops > 0 {
		e.URL = redactURL(a.url)
	}
	e.URL = scrub(e.URL, a.secrets)
	e.Message = scrub(message, a.secrets)
	e.err = err
	return e
}
