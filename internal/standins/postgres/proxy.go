package postgres

import (
	"context"
	"net"
	"sync"
	"time"

	"github.com/lambdabiz/lambdabiz/internal/standins"
)

// Proxy stands between clients and a server, and spoils what the server says. Its methods may be called from any goroutine.
type Proxy struct {
	server   *Server
	listener net.Listener
	ending   sync.WaitGroup

	mu    sync.Mutex
	lines map[*line]struct{}
	delay time.Duration
	left  int // bytes of answers until the next cut; below 0 for no cut
	cuts  int
}

// line is a connection through the proxy.
type line struct {
	client, server net.Conn
	stranded       bool
}

// Proxy starts a proxy in front of this server for the test. At first it changes nothing.
func (s *Server) Proxy(tb standins.TB) *Proxy {
	tb.Helper()
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatalf("start a proxy: %v", err)
	}
	p := &Proxy{server: s, listener: listener, lines: map[*line]struct{}{}, left: -1}
	p.ending.Go(p.accept)
	tb.Cleanup(func() {
		_ = listener.Close()
		p.mu.Lock()
		for l := range p.lines {
			l.close()
		}
		p.mu.Unlock()
		p.ending.Wait()
	})
	return p
}

// URL is the address of a database through the proxy.
func (p *Proxy) URL(database string) string {
	return locator(p.server.password, database, p.listener.Addr().String()).String()
}

// Delay lets each piece of an answer come so much later.
func (p *Proxy) Delay(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay = d
}

// CutAfter cuts the connection that gets the byte after the next n bytes of answers, of all connections together. That byte and
// what follows is lost, and the server hears nothing more. It does so once.
func (p *Proxy) CutAfter(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.left = n
}

// Cuts is how many connections were cut by CutAfter.
func (p *Proxy) Cuts() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cuts
}

// Strand leaves all present connections as they are when the other machine is gone without a word: open, and nothing comes or
// goes. New ones work.
func (p *Proxy) Strand() (stranded int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.lines {
		l.stranded = true
		stranded++
	}
	return stranded
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		server, err := (&net.Dialer{}).DialContext(context.Background(), "tcp", p.server.address)
		if err != nil {
			_ = client.Close()
			continue
		}
		l := &line{client: client, server: server}
		p.mu.Lock()
		p.lines[l] = struct{}{}
		p.mu.Unlock()
		p.ending.Go(func() { p.carry(l, client, server, false) })
		p.ending.Go(func() { p.carry(l, server, client, true) })
	}
}

func (l *line) close() {
	_ = l.client.Close()
	_ = l.server.Close()
}

// carry carries what one side says to the other, until one of them is gone.
func (p *Proxy) carry(l *line, from, to net.Conn, answers bool) {
	defer func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if !l.stranded || !answers { // the client must not hear that the server has ended
			delete(p.lines, l)
			l.close()
		}
	}()
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		n, wait, over := p.spoil(l, n, answers)
		if wait > 0 {
			<-time.After(wait)
		}
		if n > 0 {
			if _, failed := to.Write(buffer[:n]); failed != nil {
				return
			}
		}
		if err != nil || over {
			return
		}
	}
}

// spoil says how many bytes of a piece pass, how much later, and whether they are the last.
func (p *Proxy) spoil(l *line, n int, answers bool) (pass int, wait time.Duration, over bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case l.stranded:
		return 0, 0, false
	case !answers:
		return n, 0, false
	case p.left >= 0 && n > p.left:
		n, p.left = p.left, -1
		p.cuts++
		return n, p.delay, true
	case p.left >= 0:
		p.left -= n
	}
	return n, p.delay, false
}
