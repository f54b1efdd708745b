//go:build !unix

package postgres

import "net"

// isQuiet cannot be known here.
func isQuiet(net.Conn) bool { return true }
