package rest

import (
	"net/url"
	"slices"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

// Reference stands for a secret by name. Make one with [Secret].
type Reference struct{ name, prefix string }

// Secret refers to a secret by name. What is recorded is the reference; the client that performs the
// call resolves it with [Config].Secrets, anew for every attempt, so that a rotated secret is used.
// A call that needs a secret fails without retry on a client that has no Secrets.
func Secret(name string) Reference { return Reference{name: name} }

// WithPrefix returns the reference with a text in front of the resolved value: "Bearer ", say. The
// prefix is recorded.
func (r Reference) WithPrefix(prefix string) Reference { return Reference{r.name, prefix} }

// Value is what a header or a query parameter may be set to.
type Value interface{ string | Reference }

// option is an option of a service call. As a CallOption it does nothing: it is taken out before
// the call.
type option struct {
	lambdabiz.CallOption
	apply func(c *call)
}

type ignored struct{}

func newOption(apply func(c *call)) lambdabiz.CallOption {
	return &option{lambdabiz.WithValue(ignored{}, nil), apply}
}

// Header adds a header. It may stand several times with the same name. Content-Type, Accept,
// User-Agent and Idempotency-Key have defaults, which it replaces. Host and the headers that belong
// to the connection (RFC 9110, section 7.6.1) are refused.
//
// A literal value is recorded, unless the name speaks of a credential (Authorization, Cookie,
// X-Api-Key, ...) or is given to [Redact]. Such a literal is refused where other processes make the calls
// (Amazon SWF): give a [Secret].
func Header[V Value](name string, value V) lambdabiz.CallOption {
	return newOption(func(c *call) { addParam(c, &c.header, name, value) })
}

// Query adds a parameter to the query. It may stand several times with the same name; parameters
// that stand in the URL are kept. A literal value is recorded, unless the name speaks of a credential
// (token, key, code, signature, ...) or is given to [Redact].
func Query[V Value](name string, value V) lambdabiz.CallOption {
	return newOption(func(c *call) { addParam(c, &c.query, name, value) })
}

func addParam[V Value](c *call, params *[]Param, name string, value V) {
	p, err := newParam(name, value)
	if err != nil && c.fault == nil {
		c.fault = err
	}
	*params = append(*params, p)
}

// QueryValues adds parameters to the query, sorted by name. See [Query].
func QueryValues(values url.Values) lambdabiz.CallOption {
	params := paramsOf(values)
	return newOption(func(c *call) { c.query = append(c.query, params...) })
}

// AcceptStatus makes further statuses a success, beside 200 to 299: 404, say, for a DELETE of what
// may be gone. T is then decoded from whatever body the service sends with it: use [Response] as T to
// tell the statuses apart. A redirect whose status is accepted is not followed.
func AcceptStatus(statuses ...int) lambdabiz.CallOption {
	return newOption(func(c *call) { c.accept = append(c.accept, statuses...) })
}

// Idempotent says that the service honours the Idempotency-Key header, or that the request does no
// harm when it arrives twice: POST and PATCH are then attempted again like PUT.
func Idempotent() lambdabiz.CallOption {
	return newOption(func(c *call) { c.idempotent = true })
}

// Redact names headers, query parameters and form fields that are credentials although their names do
// not say so. Names are compared without regard to case.
func Redact(names ...string) lambdabiz.CallOption {
	return newOption(func(c *call) { c.redact = append(c.redact, names...) })
}

// RecordHeader names further headers of the response to record and to return: X-Total-Count, say.
// Headers that carry credentials, like Set-Cookie, are refused.
func RecordHeader(names ...string) lambdabiz.CallOption {
	return newOption(func(c *call) { c.record = append(c.record, names...) })
}

// RawBody is a body that is sent as it is. Make one with [Raw].
type RawBody struct {
	contentType string
	data        []byte
}

// Raw makes a body that is sent as it is, with a Content-Type. It is recorded: as text when it is
// UTF-8, in base64 otherwise.
func Raw(contentType string, data []byte) RawBody {
	return RawBody{contentType, slices.Clone(data)}
}

// grace is what the engine's time limit has on top of the client's. The client's own comes first,
// because only the client knows whether another attempt is safe.
const grace = 5 * time.Second

// split takes the options of this package out, and leaves the engine's.
func (c *call) split(opts []lambdabiz.CallOption) []lambdabiz.CallOption {
	pass := []lambdabiz.CallOption{lambdabiz.Retry(lambdabiz.Backoff{Attempts: defaultAttempts})}
	for _, opt := range opts {
		switch opt := opt.(type) {
		case *option:
			opt.apply(c)
		case lambdabiz.TimeoutOption:
			c.timeout = roundUp(time.Duration(opt))
			if c.timeout > 0 {
				pass = append(pass, lambdabiz.Timeout(c.timeout+grace))
			}
		default:
			pass = append(pass, opt)
		}
	}
	return pass
}

// roundUp returns whole milliseconds, as they are recorded.
func roundUp(d time.Duration) time.Duration {
	if rest := d % time.Millisecond; rest > 0 {
		return d - rest + time.Millisecond
	}
	return d
}
