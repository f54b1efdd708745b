package rest_test

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/lambdabiz/lambdabiz/rest"
)

// What an HTTP/2 service does with a request whose headers it has read.
const (
	answer   = iota // 200
	refuse          // RST_STREAM, REFUSED_STREAM: not processed
	goAway          // GOAWAY with a last stream before this one: not processed
	goAwayIn        // GOAWAY that says it might be processed, and the end of the connection
	protocol        // RST_STREAM, PROTOCOL_ERROR: it says nothing about the request
	internal        // RST_STREAM, INTERNAL_ERROR
)

// h2Service is a server that speaks HTTP/2 frame by frame, since Go's own refuses no streams.
type h2Service struct {
	url       string
	pool      *x509.CertPool
	processed atomic.Int32 // requests that it answered, or may have acted on
	seen      atomic.Int32

	mu   sync.Mutex
	plan []int // for the requests to come; then it answers
}

func newH2Service(t *testing.T, plan ...int) *h2Service {
	t.Helper()
	certified := httptest.NewTLSServer(nil) // for its certificate
	certified.Close()
	s := &h2Service{plan: plan, pool: x509.NewCertPool()}
	s.pool.AddCert(certified.Certificate())
	var config net.ListenConfig
	plain, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listener := tls.NewListener(plain, &tls.Config{
		Certificates: certified.TLS.Certificates, NextProtos: []string{"h2"}, MinVersion: tls.VersionTLS12,
	})
	t.Cleanup(func() { _ = listener.Close() })
	s.url = "https://" + listener.Addr().String()
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go s.serve(conn)
		}
	}()
	return s
}

func (s *h2Service) next() int {
	s.seen.Add(1)
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.plan) == 0 {
		return answer
	}
	next := s.plan[0]
	s.plan = s.plan[1:]
	return next
}

func (s *h2Service) serve(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	r := bufio.NewReader(conn)
	if _, err := r.Discard(len("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")); err != nil {
		return
	}
	const data, headers, reset, settings, goaway = 0, 1, 3, 4, 7
	write := func(kind, flags byte, stream uint32, payload ...byte) {
		frame := append([]byte{0, 0, byte(len(payload)), kind, flags}, binary.BigEndian.AppendUint32(nil, stream)...)
		_, _ = conn.Write(append(frame, payload...))
	}
	code := func(numbers ...uint32) (b []byte) {
		for _, n := range numbers {
			b = binary.BigEndian.AppendUint32(b, n)
		}
		return b
	}
	write(settings, 0, 0)
	for {
		var head [9]byte
		if _, err := io.ReadFull(r, head[:]); err != nil {
			return
		}
		stream := binary.BigEndian.Uint32(head[5:])
		if _, err := r.Discard(int(head[0])<<16 | int(head[1])<<8 | int(head[2])); err != nil {
			return
		}
		if head[3] == settings && head[4] == 0 {
			write(settings, 1, 0)
		}
		if head[3] != headers {
			continue
		}
		switch s.next() {
		case answer:
			s.processed.Add(1)
			write(headers, 5, stream, 0x88) // ":status: 200", the end of the headers and of the stream
		case refuse:
			write(reset, 0, stream, code(7)...)
		case goAway:
			write(goaway, 0, 0, code(stream-1, 0)...)
		case goAwayIn:
			s.processed.Add(1)
			write(goaway, 0, 0, code(stream, 0)...)
			return
		case protocol:
			s.processed.Add(1)
			write(reset, 0, stream, code(1)...)
		case internal:
			s.processed.Add(1)
			write(reset, 0, stream, code(2)...)
		}
	}
}

func (s *h2Service) client(t *testing.T) *rest.Client {
	t.Helper()
	return newClient(t, rest.Config{TLS: &tls.Config{RootCAs: s.pool, ServerName: "example.com", MinVersion: tls.VersionTLS12}})
}

// REFUSED_STREAM and GOAWAY say that a request was not processed: a POST is sent again. What else
// goes wrong says nothing, and it is not, by nobody.
func TestPostOverHTTP2IsRepeatedWhenItWasNotProcessed(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		plan            []int
		fails, retry    bool
		seen, processed int32
	}{
		"refused":                 {plan: []int{refuse}, seen: 2, processed: 1},
		"gone away before":        {plan: []int{goAway}, seen: 2, processed: 1},
		"refused, gone away":      {plan: []int{refuse, goAway}, fails: true, retry: true, seen: 2},
		"always refused":          {plan: []int{refuse, refuse, refuse}, fails: true, retry: true, seen: 2},
		"gone away with it":       {plan: []int{goAwayIn}, fails: true, seen: 1, processed: 1},
		"protocol error":          {plan: []int{protocol}, fails: true, seen: 1, processed: 1},
		"internal error":          {plan: []int{internal}, fails: true, seen: 1, processed: 1},
		"refused, protocol error": {plan: []int{refuse, protocol}, fails: true, seen: 2, processed: 1},
	} {
		for _, body := range []any{nil, "text"} {
			for _, method := range []string{http.MethodPost, http.MethodPatch} {
				s := newH2Service(t, test.plan...)
				_, err := rest.Attempt(t.Context(), s.client(t), method, s.url, body)
				if (err != nil) != test.fails {
					t.Errorf("%s: %s %v: got %v", name, method, body, err)
				} else if err != nil {
					if e := failure(t, err, rest.ReasonTransport); e.Retryable() != test.retry {
						t.Errorf("%s: %s %v: got retryable %v (%v)", name, method, body, e.Retryable(), e)
					}
				}
				if seen, processed := s.seen.Load(), s.processed.Load(); seen != test.seen || processed != test.processed {
					t.Errorf("%s: %s %v: the service saw %d requests and processed %d, want %d and %d",
						name, method, body, seen, processed, test.seen, test.processed)
				}
			}
		}
	}
}

// What may arrive twice is repeated after any of them.
func TestPutOverHTTP2IsRepeated(t *testing.T) {
	t.Parallel()
	for _, plan := range [][]int{{refuse}, {goAway}} {
		s := newH2Service(t, plan...)
		client := s.client(t)
		if _, err := rest.Attempt(t.Context(), client, "PUT", s.url, "text"); err != nil {
			t.Errorf("%v: PUT: %v", plan, err)
		}
		s.mu.Lock()
		s.plan = plan
		s.mu.Unlock()
		if _, err := rest.Attempt(t.Context(), client, "POST", s.url, "text", rest.Idempotent()); err != nil {
			t.Errorf("%v: POST: %v", plan, err)
		}
	}
	s := newH2Service(t, internal)
	_, err := rest.Attempt(t.Context(), s.client(t), "PUT", s.url, "text")
	if e := failure(t, err, rest.ReasonTransport); !e.Retryable() {
		t.Errorf("got %v, not retryable", e)
	}
}

// An orchestration's POST meets a deployment of its service and is performed once.
func TestOrchestrationGoesOnAfterARefusedStream(t *testing.T) {
	t.Parallel()
	s := newH2Service(t, goAway, refuse, refuse)
	o := create(t, newEngine(t, newMemory(t), s.client(t).Services()))
	if _, err := rest.Post[rest.Response](o, "charge", s.url, "text", quick); err != nil {
		t.Fatal(err)
	}
	if n := s.processed.Load(); n != 1 {
		t.Errorf("processed %d times, want 1", n)
	}
}
