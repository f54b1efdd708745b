package dynamodb_test

import (
	"errors"
	"io"
	"net/http"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/lambdabiz/lambdabiz/aws/dynamodb"
)

// wire is a transport made of a function.
type wire func(r *http.Request) (*http.Response, error)

func (f wire) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// TestTheBodyOfARequestCannotEndItsConnection: the answer would be lost under its reader.
func TestTheBodyOfARequestCannotEndItsConnection(t *testing.T) {
	t.Parallel()
	sent := 0
	_, err := dynamodb.Open(t.Context(), dynamodb.Config{AWS: aws.Config{
		Region: "eu-west-1", Credentials: credentials.NewStaticCredentialsProvider("key", "secret", ""),
		RetryMaxAttempts: 1,
		HTTPClient: &http.Client{Transport: wire(func(r *http.Request) (*http.Response, error) {
			sent++
			if _, ok := r.Body.(io.WriterTo); ok {
				t.Error("the body of a request has WriteTo, which net/http takes for a failed write when the SDK has closed it")
			}
			return nil, errors.New("no network")
		})},
	}})
	if err == nil || sent == 0 {
		t.Error("nothing was sent, or it came back:", err, sent)
	}
}
