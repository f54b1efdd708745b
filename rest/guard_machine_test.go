package rest_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/lambdabiz/lambdabiz/rest"
)

// Inside of Lambda the runtime's API is on loopback: whoever asks it gets the next event, with all
// that is in it, and the function's own answer goes nowhere.
func TestGuardRefusesWhatThePlatformServesToTheProcess(t *testing.T) {
	reached := false
	api := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }))
	defer api.Close()
	address := strings.TrimPrefix(api.URL, "http://")
	port := address[strings.LastIndexByte(address, ':')+1:]
	open := rest.Guard{Allow: []string{"127.0.0.0/8", "::1", "localhost", "169.254.0.0/16"}}
	for _, set := range []struct{ name, value string }{
		{"AWS_LAMBDA_RUNTIME_API", address},
		{"AWS_LAMBDA_RUNTIME_API", "localhost:" + port},
		{"AWS_LAMBDA_RUNTIME_API", "[::1]:" + port},
		{"AWS_CONTAINER_CREDENTIALS_FULL_URI", api.URL + "/v1/credentials"},
		{"IDENTITY_ENDPOINT", api.URL + "/msi/token"},
	} {
		t.Run(set.name+" "+set.value, func(t *testing.T) {
			t.Setenv(set.name, set.value)
			for _, g := range []rest.Guard{{}, open, {Strict: true, Allow: []string{"localhost"}}} {
				for _, host := range []string{address, "localhost:" + port} {
					_, err := rest.Attempt(t.Context(), newClient(t, rest.Config{Guard: g}), "GET", "http://"+host, nil)
					wantReason(t, err, rest.ReasonRefused)
				}
				for _, ip := range []string{"127.0.0.1", "127.1.2.3", "::1", "::ffff:127.0.0.1", "64:ff9b::127.0.0.1"} {
					if rest.CheckAddress(g, "a.example", strings.Replace(join(ip), ":80", ":"+port, 1)) == nil {
						t.Errorf("%s was let through", ip)
					}
				}
			}
			if reached {
				t.Error("it was reached")
			}
			if err := rest.CheckAddress(rest.Guard{}, "a.example", "127.0.0.1:1"); err != nil {
				t.Errorf("another port: %v", err)
			}
			if err := rest.CheckAddress(rest.Guard{}, "a.example", "8.8.8.8:"+port); err != nil {
				t.Errorf("another machine: %v", err)
			}
		})
	}
	for value, address := range map[string]string{
		"http://169.254.170.23/v1/credentials": "169.254.170.23:80", "https://10.0.0.9/x": "10.0.0.9:443",
		"agent.internal:81": "10.0.0.9:81",
	} {
		t.Setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", value)
		if rest.CheckAddress(open, "agent.internal", address) == nil {
			t.Errorf("%s was let through", value)
		}
	}
	t.Setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", "")
	if _, err := rest.Attempt(t.Context(), newClient(t, rest.Config{}), "GET", api.URL, nil); err != nil || !reached {
		t.Errorf("without a variable: %v", err)
	}
}
