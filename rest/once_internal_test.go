package rest

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// pipes is a listener whose connections are in memory, so that its service lives in a bubble.
type pipes chan net.Conn

func (p pipes) Accept() (net.Conn, error) {
	conn, open := <-p
	if !open {
		return nil, net.ErrClosed
	}
	return conn, nil
}

func (p pipes) Close() error   { return nil }
func (p pipes) Addr() net.Addr { return &net.TCPAddr{} }

// pipeService serves a client in memory and counts the connections.
func pipeService(t *testing.T, idle time.Duration, handler http.HandlerFunc) (client *Client, dialled *atomic.Int32) {
	t.Helper()
	client, err := NewClient(Config{})
	if err != nil {
		t.Fatal(err)
	}
	listener := make(pipes)
	dialled = new(atomic.Int32)
	client.transport.DialContext = func(context.Context, string, string) (net.Conn, error) {
		dialled.Add(1)
		here, there := net.Pipe()
		listener <- there
		return here, nil
	}
	server := &http.Server{Handler: handler, IdleTimeout: idle, ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() {
		client.CloseIdleConnections()
		close(listener)
		_ = server.Close()
	})
	return client, dialled
}

// A service closes a connection that has been idle, in the moment in which the next POST comes: it is
// not known whether it was processed. So such a request takes no connection that has been idle long.
func TestPostTakesNoConnectionThatHasBeenIdle(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		method     string
		idempotent bool
		pause      time.Duration
		want       int32
	}{
		{"POST", false, 0, 1},
		{"POST", false, keepFresh - time.Millisecond, 1},
		{"POST", false, keepFresh, 2},
		{"PATCH", false, 5 * time.Second, 2},
		{"POST", true, 5 * time.Second, 1},
		{"PUT", false, 5 * time.Second, 1},
	} {
		t.Run(fmt.Sprint(test), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				client, dialled := pipeService(t, time.Hour, func(http.ResponseWriter, *http.Request) {})
				r := Request{Method: test.method, URL: "http://service.example/", Body: []byte("{}"), Idempotent: test.idempotent}
				for range 2 {
					if _, err := client.perform(t.Context(), r); err != nil {
						t.Fatal(err)
					}
					time.Sleep(test.pause)
				}
				if n := dialled.Load(); n != test.want {
					t.Errorf("%d connections for 2 requests, want %d", n, test.want)
				}
			})
		})
	}
}

// The same seen from the service, at every moment around that in which it gives connections up.
func TestPostAroundTheMomentInWhichAConnectionIsClosed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const idle = 5 * time.Second
		var posts atomic.Int32
		client, _ := pipeService(t, idle, func(http.ResponseWriter, *http.Request) { posts.Add(1) })
		r := Request{Method: "POST", URL: "http://service.example/", Body: []byte("{}")}
		rounds := int32(0)
		for early := time.Microsecond; early > -2*time.Microsecond; early -= time.Microsecond {
			for range 2 {
				if _, err := client.perform(t.Context(), r); err != nil {
					t.Fatalf("%v before the end: %v", early, err)
				}
				rounds++
				time.Sleep(idle - early)
			}
		}
		if n := posts.Load(); n != rounds {
			t.Errorf("the service got %d requests of %d", n, rounds)
		}
	})
}

// A hundred at once have a connection each, and none is left over a second later.
func TestConnectionsOfManyPostsAreClosed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		together := make(chan struct{})
		client, dialled := pipeService(t, time.Hour, func(http.ResponseWriter, *http.Request) { <-together })
		r := Request{Method: "POST", URL: "http://service.example/", Body: []byte("{}")}
		ended := make(chan error)
		for range 100 {
			go func() {
				_, err := client.perform(t.Context(), r)
				ended <- err
			}()
		}
		synctest.Wait()
		close(together)
		for range 100 {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
		kept := func() int {
			client.once.mu.Lock()
			defer client.once.mu.Unlock()
			return len(client.once.idle["http://service.example:80"])
		}
		if n := dialled.Load(); n != 100 || kept() != 100 {
			t.Errorf("%d connections, %d kept, want 100", n, kept())
		}
		time.Sleep(keepFresh)
		synctest.Wait()
		if kept() != 0 {
			t.Error("connections are kept for longer than a request may use them")
		}
	})
}

func TestHostIsLookedUpInASCII(t *testing.T) {
	t.Parallel()
	for host, want := range map[string]string{
		"a.example": "a.example", "bücher.example": "xn--bcher-kva.example", "::1": "::1", "fe80::1%lo": "fe80::1%lo",
	} {
		if got := asciiHost(host); got != want {
			t.Errorf("%s: got %s, want %s", host, got, want)
		}
	}
}
