package rest

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/lambdabiz/lambdabiz"
)

// Get performs a GET request as an operation and decodes the JSON response into T. With [Response] as
// T it returns status, headers and the body as it is; an empty body leaves T zero.
//
// It returns an error without recording anything when the request makes no sense (a bad URL or
// header). A call that has failed returns a *[lambdabiz.TaskError] with an *[Error] in it, and does
// so again in every resumed run. A response that does not decode into T returns an *[Error] with
// [ReasonDecode]; the response itself stays recorded.
func Get[T any](o lambdabiz.Context, id, url string, opts ...lambdabiz.CallOption) (T, error) {
	return do[T](o, id, call{method: http.MethodGet, url: url}, opts)
}

// Head performs a HEAD request as an operation. See [Get].
func Head(o lambdabiz.Context, id, url string, opts ...lambdabiz.CallOption) (Response, error) {
	return do[Response](o, id, call{method: http.MethodHead, url: url}, opts)
}

// Delete performs a DELETE request as an operation. See [Get].
func Delete[T any](o lambdabiz.Context, id, url string, opts ...lambdabiz.CallOption) (T, error) {
	return do[T](o, id, call{method: http.MethodDelete, url: url}, opts)
}

// Post performs a POST request as an operation. The body is encoded as JSON, apart from nil, which is
// no body, url.Values, which is a form, and what [Raw] returns. See [Get] for the response, and the
// package's documentation for what is attempted again.
func Post[T any](o lambdabiz.Context, id, url string, body any, opts ...lambdabiz.CallOption) (T, error) {
	return do[T](o, id, call{method: http.MethodPost, url: url, body: body}, opts)
}

// Put performs a PUT request as an operation. See [Post] for the body and [Get] for the response.
func Put[T any](o lambdabiz.Context, id, url string, body any, opts ...lambdabiz.CallOption) (T, error) {
	return do[T](o, id, call{method: http.MethodPut, url: url, body: body}, opts)
}

// Patch performs a PATCH request as an operation. See [Post] for the body and [Get] for the response.
func Patch[T any](o lambdabiz.Context, id, url string, body any, opts ...lambdabiz.CallOption) (T, error) {
	return do[T](o, id, call{method: http.MethodPatch, url: url, body: body}, opts)
}

// methods are what a service call may use.
var methods = []string{
	http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete,
}

// defaultClient performs the calls of an engine that has none registered.
var defaultClient = newClient(Config{}.withDefaults(), policy{})

func do[T any](o lambdabiz.Context, id string, c call, opts []lambdabiz.CallOption) (T, error) {
	var none T
	pass := c.split(opts)
	req, live, err := c.build()
	if err != nil {
		return none, err
	}
	if len(live) > 0 {
		pass = append(pass, lambdabiz.WithValue(credentialsKey{}, live))
	}
	resp, err := lambdabiz.Call(o, id, defaultClient.services[req.Method], req, pass...)
	if err != nil {
		return none, explain(req, err)
	}
	return decode[T](req, resp)
}

// explain says what to do where the home makes the call: a live credential does not get there, unless it lay in
// the record for all to read.
func explain(r Request, err error) error {
	unsupported, ok := errors.AsType[*lambdabiz.UnsupportedError](err)
	if !ok || unsupported.Feature != lambdabiz.FeatureValue {
		return err
	}
	for _, group := range []struct {
		kind   string
		params []Param
	}{{placeHeader, r.Header}, {placeQuery, r.Query}, {placeForm, r.Form}} {
		for _, p := range group.params {
			if p.Redacted {
				return fmt.Errorf("check %s %s: it is a credential, and another process makes the call: "+
					"give its name instead, as rest.Secret(\"NAME\"), for that process to look up: %w", group.kind, p.Name, err)
			}
		}
	}
	return err
}
