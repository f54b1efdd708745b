package fakelambda

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"
)

// Config sets up a [Server]. The zero value works.
type Config struct {
	// Region and Account stand in ARNs. The defaults are us-east-1 and 123456789012.
	Region, Account string
	// RetryDelays are the waits before the further attempts of an asynchronous event whose function
	// failed. The default is one and two minutes, as Lambda's; an empty list that is not nil means no
	// further attempt.
	RetryDelays []time.Duration
	// ThrottleDelay is the wait before a throttled event is tried again. It doubles up to 5 minutes.
	// The default is 1 s.
	ThrottleDelay time.Duration
	// RetryAfter is told to callers that are throttled, in whole seconds. The default is 1 s.
	RetryAfter time.Duration
	// OnDropped is called for an event whose attempts are used up, where Lambda has its OnFailure destination.
	OnDropped func(function string, event Invocation, errorPayload []byte)
	// Logs gets what the processes print. The default is to keep the last 4 KB of an invocation only.
	// It is written to by several goroutines at once.
	Logs io.Writer
	// Address is where the Invoke API listens. The default is 127.0.0.1 with a free port.
	Address string
}

// Server is the Invoke API with its functions. Its methods may be called by many goroutines at once.
type Server struct {
	config  Config
	url     string
	http    *http.Server
	ctx     context.Context //nolint:containedctx // the server's own lifetime
	cancel  context.CancelFunc
	running sync.WaitGroup // everything that was started

	mu        sync.Mutex
	functions map[string]*function
	closed    bool
}

// Open listens on the loopback interface. Close must be called.
func Open(c Config) (*Server, error) {
	c.Region, c.Account = cmp.Or(c.Region, "us-east-1"), cmp.Or(c.Account, "123456789012")
	c.Address = cmp.Or(c.Address, "127.0.0.1:0")
	c.ThrottleDelay, c.RetryAfter = cmp.Or(c.ThrottleDelay, time.Second), cmp.Or(c.RetryAfter, time.Second)
	if c.RetryDelays == nil {
		c.RetryDelays = []time.Duration{time.Minute, 2 * time.Minute}
	}
	ctx, cancel := context.WithCancel(context.Background())
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", c.Address)
	if err != nil {
		cancel()
		return nil, fmt.Errorf("listen for the Lambda API: %w", err)
	}
	s := &Server{
		config: c, url: "http://" + listener.Addr().String(), ctx: ctx, cancel: cancel, functions: map[string]*function{},
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /2015-03-31/functions/{name}/invocations", s.invoke)
	s.http = &http.Server{Handler: mux, ReadHeaderTimeout: time.Minute}
	s.running.Go(func() {
		if err := s.http.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			cancel()
		}
	})
	return s, nil
}

// URL is the base address of the Invoke API: BaseEndpoint of an SDK.
func (s *Server) URL() string { return s.url }

// Register makes a function known, or replaces one that has no environments yet.
func (s *Server) Register(functions ...Function) error {
	for _, f := range functions {
		if err := f.check(); err != nil {
			return err
		}
		f.Timeout, f.MemoryMB = cmp.Or(f.Timeout, defaultTimeout), cmp.Or(f.MemoryMB, 128)
		f.Concurrency = cmp.Or(f.Concurrency, 10)
		s.mu.Lock()
		known := s.functions[f.Name]
		if known != nil && len(known.environments()) > 0 {
			s.mu.Unlock()
			return fmt.Errorf("register function %s: it runs already", f.Name)
		}
		s.functions[f.Name] = &function{Function: f, s: s, live: map[*environment]bool{}}
		s.mu.Unlock()
	}
	return nil
}

func (s *Server) function(name string) *function {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.functions[name]
}

// Stats returns the counts of a function; all are 0 for one that is not known.
func (s *Server) Stats(name string) Stats {
	f := s.function(name)
	if f == nil {
		return Stats{}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	stats := f.stats
	stats.Environments = len(f.live)
	return stats
}

// Invocations returns what a function was invoked with, in order.
func (s *Server) Invocations(name string) []Invocation {
	f := s.function(name)
	if f == nil {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.log)
}

// Kill ends all processes of a function by SIGKILL, busy or not, waits for their ends, and says how many
// they were.
func (s *Server) Kill(name string) int {
	f := s.function(name)
	if f == nil {
		return 0
	}
	list := f.environments()
	for _, e := range list {
		e.kill()
	}
	for _, e := range list {
		<-e.exited
	}
	return len(list)
}

// Close ends all processes and drops queued events. It returns when everything has ended.
func (s *Server) Close() error {
	s.mu.Lock()
	s.closed = true
	names := make([]string, 0, len(s.functions))
	for name := range s.functions {
		names = append(names, name)
	}
	s.mu.Unlock()
	s.cancel()
	err := s.http.Close()
	for _, name := range names {
		s.Kill(name)
	}
	s.running.Wait()
	if err != nil {
		return fmt.Errorf("close the Lambda API: %w", err)
	}
	return nil
}

// begin runs f in the background, unless the server is closed.
func (s *Server) begin(f func()) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.running.Go(f)
	return true
}

func (s *Server) arn(name, qualifier string) string {
	arn := "arn:aws:lambda:" + s.config.Region + ":" + s.config.Account + ":function:" + name
	if qualifier != "" && qualifier != latest {
		arn += ":" + qualifier
	}
	return arn
}
