package celery

import (
	"net"
	"time"
)

// unreached is a connection that could not be made: whatever is done with it fails with the reason. The client gets it in
// place of the error. After PoolSize errors it would not connect any more, and would return the last error until a goroutine of
// its own has got through; that one does not run while a Lambda function is frozen, so a server that is back long since would
// be reported as down.
type unreached struct{ err error }

func (u unreached) Read([]byte) (int, error)  { return 0, u.err }
func (u unreached) Write([]byte) (int, error) { return 0, u.err }

func (unreached) Close() error                     { return nil }
func (unreached) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (unreached) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (unreached) SetDeadline(time.Time) error      { return nil }
func (unreached) SetReadDeadline(time.Time) error  { return nil }
func (unreached) SetWriteDeadline(time.Time) error { return nil }
