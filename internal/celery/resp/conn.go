package resp

import (
	"crypto/tls"
	"net"
	"syscall"
)

// Limit returns the connection with what the server sends bounded. Once an answer is beyond its bounds, or is none, each Read returns
// the error.
func Limit(c net.Conn, b Bounds) net.Conn {
	l := &conn{Conn: c, checker: checker{bounds: b}}
	socket := c
	if secure, ok := c.(*tls.Conn); ok {
		// The end of a connection is seen below TLS. Whatever else has come unasked there makes the client connect anew.
		socket = secure.NetConn()
	}
	if raw, ok := socket.(syscall.Conn); ok {
		return rawConn{l, raw}
	}
	return l
}

// conn checks what it reads.
type conn struct {
	net.Conn
	checker checker
}

func (c *conn) Write(p []byte) (int, error) {
	c.checker.request()
	return c.Conn.Write(p)
}

func (c *conn) Read(p []byte) (int, error) {
	if c.checker.err != nil {
		return 0, c.checker.err
	}
	n, err := c.Conn.Read(p)
	if bad := c.checker.check(p[:n]); bad != nil {
		return 0, bad
	}
	return n, err
}

// rawConn is a conn with its socket. The client looks through SyscallConn whether the other side has closed an idle connection,
// before it uses it: what has been closed since it was used last would fail this use, where nothing is sent twice.
type rawConn struct {
	*conn
	syscall.Conn
}
