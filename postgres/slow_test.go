package postgres_test

import (
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"
)

// cuttable is a connection that may be cut: one side sees it broken, and the other does not know yet.
type cuttable struct {
	net.Conn

	cut atomic.Bool
}

func (c *cuttable) Read(p []byte) (int, error) {
	if c.cut.Load() {
		return 0, net.ErrClosed
	}
	return c.Conn.Read(p)
}

func (c *cuttable) Write(p []byte) (int, error) {
	if c.cut.Load() {
		return 0, net.ErrClosed
	}
	return c.Conn.Write(p)
}

func (c *cuttable) SetDeadline(d time.Time) error {
	if c.cut.Load() {
		return net.ErrClosed
	}
	return c.Conn.SetDeadline(d)
}

func (c *cuttable) Close() error {
	if c.cut.Load() {
		return nil // it is somebody else's now
	}
	return c.Conn.Close()
}

// commitWhenWaitedFor is a server that is slow with a COMMIT: it does it as soon as somebody waits for one of its locks.
func commitWhenWaitedFor(t *testing.T, url string, hidden net.Conn, pid uint32) {
	t.Helper()
	defer func() { _ = hidden.Close() }()
	waitUntilWaitedFor(t, url, pid, nil)
	front := pgproto3.NewFrontend(hidden, hidden)
	front.Send(&pgproto3.Query{String: "COMMIT"})
	if err := front.Flush(); err != nil {
		t.Error(err)
		return
	}
	for {
		m, err := front.Receive()
		if err != nil {
			t.Error(err)
			return
		}
		if _, done := m.(*pgproto3.ReadyForQuery); done {
			return
		}
	}
}
