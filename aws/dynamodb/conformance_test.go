package dynamodb_test

import (
	"net/http"
	"sync"
	"testing"

	"github.com/lambdabiz/lambdabiz/aws/dynamodb"
)

func TestStoreOnDynamoDBLocal(t *testing.T) {
	t.Parallel()
	conformance(t, configFor, localEndpoint(t))
}

func TestStoreOnMoto(t *testing.T) {
	t.Parallel()
	conformance(t, oneByOne, motoEndpoint(t))
}

// oneByOne sends one request at a time: moto looks at a condition and writes in two steps, so that of two that come
// at once both may win.
func oneByOne(endpoint string) dynamodb.Config {
	c := configFor(endpoint)
	c.AWS.HTTPClient = &http.Client{Transport: &serial{}}
	return c
}

type serial struct{}

var motoIsBusy sync.Mutex

// RoundTrip implements http.RoundTripper.
func (*serial) RoundTrip(r *http.Request) (*http.Response, error) {
	motoIsBusy.Lock()
	defer motoIsBusy.Unlock()
	return transport.RoundTrip(r)
}
