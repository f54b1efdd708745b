//go:build unix

package postgres

import (
	"errors"
	"net"
	"syscall"
)

// isQuiet reports whether there is nothing to be read on a connection that waits for no answer. What a server says unasked is
// mostly that it ends.
func isQuiet(conn net.Conn) bool {
	if secure, ok := conn.(interface{ NetConn() net.Conn }); ok {
		conn = secure.NetConn()
	}
	raw, ok := conn.(syscall.Conn)
	if !ok {
		return true // nobody knows
	}
	control, err := raw.SyscallConn()
	if err != nil {
		return false
	}
	quiet := false
	// Not by Read, which waits for its turn: the driver may read ahead, and does so until something comes.
	err = control.Control(func(fd uintptr) {
		var one [1]byte
		_, _, err := syscall.Recvfrom(int(fd), one[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		quiet = errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.EWOULDBLOCK)
	})
	return err == nil && quiet
}
