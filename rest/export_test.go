package rest

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

// Build returns what a call would record, as JSON.
func Build(method, url string, body any, opts ...lambdabiz.CallOption) (string, error) {
	c := call{method: method, url: url, body: body}
	c.split(opts)
	r, _, err := c.build()
	if err != nil {
		return "", err
	}
	text, err := json.Marshal(r)
	return string(text), err
}

// Attempt makes one attempt without an engine, after a round trip of the request through its record.
func Attempt(
	ctx context.Context, client *Client, method, url string, body any, opts ...lambdabiz.CallOption,
) (Response, error) {
	c := call{method: method, url: url, body: body}
	c.split(opts)
	r, live, err := c.build()
	if err != nil {
		return Response{}, err
	}
	text, err := json.Marshal(r)
	if err != nil {
		return Response{}, err
	}
	return Perform(context.WithValue(ctx, credentialsKey{}, live), client, text)
}

// Perform makes one attempt of a recorded request.
func Perform(ctx context.Context, client *Client, recorded []byte) (Response, error) {
	var r Request
	if err := json.Unmarshal(recorded, &r); err != nil {
		return Response{}, err
	}
	return client.perform(ctx, r)
}

// SetResolver replaces the name resolution of a client.
func SetResolver(c *Client, resolver *net.Resolver) {
	guard, _ := c.config.Guard.policy()
	c.transport = newTransport(c.config, guard, resolver)
}

// CheckAddress asks a guard about an address (ip:port) dialled for a host.
func CheckAddress(g Guard, host, address string) error {
	p, err := g.policy()
	if err != nil {
		return err
	}
	return p.check(host, address)
}

// RetryAfter reads the header.
func RetryAfter(h http.Header, most time.Duration) time.Duration { return retryAfter(h, most) }

// IsCredential reports whether a name speaks of a credential.
func IsCredential(name string) bool { return isCredential(name, nil) }

// Bytes returns the data of a raw body.
func (b RawBody) Bytes() []byte { return b.data }
