package dynamodb_test

import (
	"net/http"
	"sync"
	"testing"

	"github.com/lambdabiz/lambdabiz/aws/dynamodb"
)

func TestStoreOnDynalite(t *testing.T) {
	t.Parallel()
	conformance(t, configFor, localEndpoint(t), nil)
}

// A second opinion on conditions, indexes and pages. What takes moto long, since it reads all of a table
// for each question, dynalite answers alone.
func TestStoreOnMoto(t *testing.T) {
	t.Parallel()
	slow := map[string]string{}
	for _, name := range []string{
		"random/agrees with a simple model",
		"list/a page has 100 runs, and 1,000 at most",
		"list/a rare run among many",
		"list/over months and years",
		"list/filters",
		"get/reads what another handle has just written",
		"put/ids with any letters",
		"concurrent/a run never says more than its operations",
		"put/many operations at once",
	} {
		slow[name] = "it takes moto long"
	}
	conformance(t, oneByOne, motoEndpoint(t), slow)
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
