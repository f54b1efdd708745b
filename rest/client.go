package rest

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

// Config configures a [Client]. The zero value works.
type Config struct {
	// Timeout limits one attempt, from name resolution to the last byte of the body, redirects
	// included. The default is 30 s. A lambdabiz.Timeout at a call replaces it for that call.
	Timeout time.Duration
	// MaxRequestBytes limits the body of a request. The default is 1 MiB. See MaxResponseBytes for what
	// can be recorded.
	MaxRequestBytes int64
	// MaxResponseBytes limits the body of a response, after decompression. The default is 1 MiB. What
	// is larger fails the call with lambdabiz.ErrTooLarge, without retry. Whatever is in it, a body of
	// that size can be recorded where lambdabiz.Config.MaxPayloadBytes is as large: raise both. A home
	// with a lower limit, as Amazon SWF, refuses what is above that, after the call.
	MaxResponseBytes int64
	// MaxRedirects is how many redirects of one attempt are followed. The default is 3; a negative
	// number means none: the redirect itself is then the response.
	MaxRedirects int
	// MaxRetryAfter limits what a Retry-After header can ask for. The default is 1 hour.
	MaxRetryAfter time.Duration
	// UserAgent is sent unless a call sets the header. The default is "lambdabiz".
	UserAgent string
	// Guard says which addresses calls may reach.
	Guard Guard
	// Secrets resolves what [Secret] refers to, once per attempt. An error fails the attempt; it is
	// retried unless it is marked with lambdabiz.NonRetryable. Its text is recorded. The default knows
	// no secret.
	Secrets func(ctx context.Context, name string) (string, error)
	// TLS is for certificates of one's own. The default is that of crypto/tls. It is cloned.
	TLS *tls.Config
}

// Client performs the calls of the engines that it is registered with. It keeps connections open for
// the next call; a request that must not arrive twice (POST and PATCH without [Idempotent]) takes one
// that has been idle for less than a second, or a new one. It is safe for concurrent use.
type Client struct {
	config    Config
	transport *http.Transport
	once      onceConns // of requests that must not arrive twice
	services  map[string]*lambdabiz.Task[Request, Response]
}

// NewClient makes a client. It opens nothing. An error names the field that is wrong.
func NewClient(config Config) (*Client, error) {
	for field, value := range map[string]int64{
		"Timeout": int64(config.Timeout), "MaxRequestBytes": config.MaxRequestBytes,
		"MaxResponseBytes": config.MaxResponseBytes, "MaxRetryAfter": int64(config.MaxRetryAfter),
	} {
		if value < 0 {
			return nil, fmt.Errorf("check Config.%s: it is negative (0 means the default)", field)
		}
	}
	if err := checkHeaderValue("User-Agent", config.UserAgent); err != nil {
		return nil, fmt.Errorf("check Config.UserAgent: %w", err)
	}
	guard, err := config.Guard.policy()
	if err != nil {
		return nil, err
	}
	return newClient(config.withDefaults(), guard), nil
}

func (c Config) withDefaults() Config {
	c.Timeout = either(c.Timeout, 30*time.Second)
	c.MaxRequestBytes = either(c.MaxRequestBytes, 1<<20)
	c.MaxResponseBytes = either(c.MaxResponseBytes, 1<<20)
	c.MaxRedirects = either(c.MaxRedirects, 3)
	c.MaxRetryAfter = either(c.MaxRetryAfter, time.Hour)
	c.UserAgent = either(c.UserAgent, "lambdabiz")
	return c
}

func either[T comparable](value, otherwise T) T {
	var zero T
	if value == zero {
		return otherwise
	}
	return value
}

func newClient(config Config, guard policy) *Client {
	c := &Client{config: config, transport: newTransport(config, guard, nil)}
	c.services = map[string]*lambdabiz.Task[Request, Response]{}
	for _, method := range methods {
		c.services[method] = lambdabiz.NewService(method, c.perform)
	}
	return c
}

// newTransport makes the only way out: without a proxy, because the guard would see its address only.
func newTransport(config Config, guard policy, resolver *net.Resolver) *http.Transport {
	t := &http.Transport{
		Proxy:                  nil,
		DialContext:            guard.dial(resolver),
		ForceAttemptHTTP2:      true,
		TLSHandshakeTimeout:    dialTimeout,
		MaxIdleConns:           100,
		MaxIdleConnsPerHost:    16,
		IdleConnTimeout:        90 * time.Second,
		MaxResponseHeaderBytes: 64 << 10,
	}
	if config.TLS != nil {
		t.TLSClientConfig = config.TLS.Clone()
	}
	return t
}

// Services returns what makes an engine perform its calls with this client: hand it to
// [lambdabiz.Engine.Register]. An engine has one client.
func (c *Client) Services() lambdabiz.Registrables {
	list := make(lambdabiz.Registrables, 0, len(methods))
	for _, method := range methods {
		list = append(list, c.services[method])
	}
	return list
}

// An [*Error] keeps its type in the record whoever performs the call.
func init() { //nolint:gochecknoinits // as the documentation of RegisterErrors says
	lambdabiz.RegisterErrors(lambdabiz.ErrorType[*Error]("rest.Error"))
}

// CloseIdleConnections closes the connections that no call uses. The client can be used further.
func (c *Client) CloseIdleConnections() {
	c.transport.CloseIdleConnections()
	c.once.closeIdle()
}
