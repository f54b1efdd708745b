package awscall_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/swf"
	"github.com/aws/aws-sdk-go-v2/service/swf/types"

	"github.com/lambdabiz/lambdabiz/internal/awscall"
)

// slowConn is a connection whose writer has no CPU from the moment the request's body is out until the answer is being
// read: net/http has not looked yet whether the body has more.
type slowConn struct {
	net.Conn
	reading <-chan struct{}
}

func (c slowConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	if strings.HasPrefix(string(p), "{") {
		<-c.reading
	}
	return n, err
}

// readsLate is the body of an answer. Its first reader lets the writer go on, and everything else that can.
type readsLate struct {
	io.ReadCloser
	once    sync.Once
	reading chan struct{}
}

func (b *readsLate) Read(p []byte) (int, error) {
	b.once.Do(func() {
		close(b.reading)
		synctest.Wait()
	})
	return b.ReadCloser.Read(p)
}

// roundTrip is a transport made of a function.
type roundTrip func(r *http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// TestTheAnswerIsReadThoughTheRequestsWriterIsLate: the connection was closed under the answer to a poll, and its task
// was with nobody.
func TestTheAnswerIsReadThoughTheRequestsWriterIsLate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		reading := make(chan struct{})
		listener := &oneConn{conns: make(chan net.Conn, 1), done: make(chan struct{})}
		listener.conns <- far
		server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			w.Header().Set("Content-Type", "application/x-amz-json-1.0")
			answer := `{"taskToken":"` + strings.Repeat("t", 1000) + `","events":[],"startedEventId":1` + strings.Repeat(" ", 1<<16) + "}"
			_, _ = io.WriteString(w, answer) // a failure is the client's, who says so
		})}
		served := make(chan error, 1)
		go func() { served <- server.Serve(listener) }()
		transport := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
			return slowConn{near, reading}, nil
		}}
		client := swf.New(swf.Options{
			Region: "eu-west-1", BaseEndpoint: aws.String("http://swf.test"), Retryer: aws.NopRetryer{},
			Credentials: credentials.NewStaticCredentialsProvider("key", "secret", ""),
			HTTPClient: awscall.Client(&http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
				answer, err := transport.RoundTrip(r)
				if err == nil {
					answer.Body = &readsLate{ReadCloser: answer.Body, reading: reading}
				}
				return answer, err
			})}),
		})
		out, err := client.PollForActivityTask(t.Context(), &swf.PollForActivityTaskInput{
			Domain: aws.String("d"), TaskList: tasks(),
		})
		if err != nil || len(*out.TaskToken) != 1000 {
			t.Errorf("the answer was lost: %v", err)
		}
		transport.CloseIdleConnections()
		if err := server.Close(); err != nil {
			t.Error(err)
		}
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
}

// oneConn is a listener with one connection.
type oneConn struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func (l *oneConn) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *oneConn) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

func (l *oneConn) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "unix"} }

func tasks() *types.TaskList { return &types.TaskList{Name: aws.String("l")} }
