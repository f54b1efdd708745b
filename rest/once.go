package rest

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"
)

// keepFresh is how long a connection may have been idle when a request takes it that must not arrive
// twice. Services and what stands before them close idle connections after seconds at the least; a
// request that meets the close on its way is one of which nobody knows whether it was processed.
const keepFresh = time.Second

// onceConns makes the round trips of requests that must not arrive twice. The pool of an
// [http.Transport] is not for them: it hands out connections that have been idle for long, and over
// HTTP/2 it sends a request again by itself after errors that do not say that it was not processed.
// Here each request has a connection for itself. A ClientConn sends it once, and returns what the
// connection said of it.
type onceConns struct {
	mu   sync.Mutex
	idle map[string][]*onceConn // by origin, the latest last
}

// onceConn is a connection that waits for the next request to its origin.
type onceConn struct {
	*http.ClientConn
	expiry *time.Timer // closes it
}

// roundTrip sends the request. When it returns an error, sent says whether the service may have acted.
func (c *onceConns) roundTrip(t *http.Transport, req *http.Request) (resp *http.Response, sent bool, err error) {
	resp, sent, err = c.try(t, req)
	if err == nil || sent || !isUnprocessed(err) || req.Context().Err() != nil {
		return resp, sent, err
	}
	// The connection was on its way out, as during a deployment of the service. Another one is
	// another process, most of the time.
	again := req.Clone(req.Context())
	if req.GetBody != nil {
		if again.Body, err = req.GetBody(); err != nil {
			return nil, false, err
		}
	}
	return c.try(t, again)
}

func (c *onceConns) try(t *http.Transport, req *http.Request) (resp *http.Response, sent bool, err error) {
	conn, origin, err := c.take(req.Context(), t, req.URL)
	if err != nil {
		return nil, false, err
	}
	resp, err = conn.RoundTrip(req)
	if err != nil {
		_ = conn.Close()
		return nil, !isUnprocessed(err), err
	}
	resp.Body = &onceBody{ReadCloser: resp.Body, closed: func() { c.keep(origin, conn) }}
	return resp, true, nil
}

// take returns a connection that nobody else has.
func (c *onceConns) take(ctx context.Context, t *http.Transport, to *url.URL) (*http.ClientConn, string, error) {
	address := net.JoinHostPort(asciiHost(to.Hostname()), portOf(to))
	origin := to.Scheme + "://" + address
	for conn := c.pop(origin); conn != nil; conn = c.pop(origin) {
		if conn.Reserve() == nil {
			return conn.ClientConn, origin, nil
		}
		_ = conn.Close()
	}
	conn, err := t.NewClientConn(ctx, to.Scheme, address)
	return conn, origin, err
}

func (c *onceConns) pop(origin string) *onceConn {
	c.mu.Lock()
	defer c.mu.Unlock()
	list := c.idle[origin]
	for len(list) > 0 {
		last := list[len(list)-1]
		list = list[:len(list)-1]
		c.set(origin, list)
		if last.expiry.Stop() { // else it is being closed
			return last
		}
	}
	return nil
}

func (c *onceConns) set(origin string, list []*onceConn) {
	if len(list) == 0 {
		delete(c.idle, origin)
		return
	}
	if c.idle == nil {
		c.idle = map[string][]*onceConn{}
	}
	c.idle[origin] = list
}

// keep puts a connection back whose response has been read.
func (c *onceConns) keep(origin string, conn *http.ClientConn) {
	if conn.Err() != nil || conn.Available() == 0 {
		_ = conn.Close()
		return
	}
	kept := &onceConn{ClientConn: conn}
	c.mu.Lock()
	defer c.mu.Unlock()
	kept.expiry = time.AfterFunc(keepFresh, func() { c.expire(origin, kept) })
	c.set(origin, append(c.idle[origin], kept))
}

func (c *onceConns) expire(origin string, old *onceConn) {
	c.mu.Lock()
	c.set(origin, slices.DeleteFunc(c.idle[origin], func(o *onceConn) bool { return o == old }))
	c.mu.Unlock()
	_ = old.Close()
}

// closeIdle closes the connections that no request uses.
func (c *onceConns) closeIdle() {
	c.mu.Lock()
	idle := c.idle
	c.idle = nil
	c.mu.Unlock()
	for _, list := range idle {
		for _, conn := range list {
			conn.expiry.Stop()
			_ = conn.Close()
		}
	}
}

// onceBody is a response's body that gives its connection back.
type onceBody struct {
	io.ReadCloser
	once   sync.Once
	closed func()
}

func (b *onceBody) Close() error {
	err := b.ReadCloser.Close()
	b.once.Do(b.closed)
	return err
}

// streamError is what the HTTP/2 of net/http says of a stream that was reset. Its own type is not
// exported; it fills, by errors.As, any struct with these fields.
type streamError struct {
	StreamID uint32
	Code     uint32
	Cause    error
}

func (streamError) Error() string { return "stream error" }

// refusedStream is REFUSED_STREAM: the stream was closed before any processing (RFC 9113, section 8.7).
const refusedStream = 7

// unprocessedTexts are errors of net/http that have no exported names: the stream's number is above
// the last one that a GOAWAY says might be processed (RFC 9113, section 6.8), and a connection that was
// found closed before anything was written. Were they worded otherwise, a request would not be
// repeated; tests would tell.
var unprocessedTexts = []string{
	"http2: Transport received Server's graceful shutdown GOAWAY",
	"http2: client conn not usable",
}

// isUnprocessed reports whether the connection says that the request was not processed.
func isUnprocessed(err error) bool {
	var reset streamError
	if errors.As(err, &reset) { //nolint:modernize // the type that is looked for is that of net/http
		return reset.Code == refusedStream
	}
	return slices.Contains(unprocessedTexts, err.Error())
}

// asciiHost returns the name under which a host is looked up (RFC 5891): as net/http writes it into
// the header Host, since its rules are exported nowhere else.
func asciiHost(host string) string {
	ascii := true
	for i := range len(host) {
		ascii = ascii && host[i] < 0x80
	}
	if ascii {
		return host
	}
	var written bytes.Buffer
	probe := &http.Request{Method: http.MethodGet, URL: &url.URL{Scheme: "http", Host: host}, Header: http.Header{}}
	if err := probe.Write(&written); err != nil {
		return host
	}
	read, err := http.ReadRequest(bufio.NewReader(&written))
	if err != nil {
		return host
	}
	return read.Host
}
