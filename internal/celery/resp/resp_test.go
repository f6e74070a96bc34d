package resp

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"
)

var small = Bounds{Bytes: 1000, Items: 20}

// follow reports what is wrong with a server's answers, which come in pieces of the given size.
func follow(b Bounds, answers string, size int) error {
	c := checker{bounds: b}
	for len(answers) > 0 {
		n := min(size, len(answers))
		if c.check([]byte(answers[:n])) != nil {
			return c.check([]byte("\r\n:1\r\n")) // The error stays, whatever comes.
		}
		answers = answers[n:]
	}
	return nil
}

func TestCheck(t *testing.T) {
	// Arrays that end with a value of each kind, and what comes after them is an answer of its own: 19 items.
	ended := "*1\r\n*2\r\n$3\r\nabc\r\n$0\r\n\r\n" + "*1\r\n:1\r\n" + "*1\r\n$-1\r\n" + "*1\r\n*0\r\n" + "*2\r\n*1\r\n$1\r\na\r\n$2\r\nab\r\n" + "*0\r\n" + "*2\r\n*1\r\n:1\r\n*-1\r\n"
	for name, c := range map[string]struct {
		answers string
		wrong   string // Part of the error; "" is none.
	}{
		"values":                     {"+OK\r\n:1\r\n:-1\r\n-ERR no\r\n$2\r\nab\r\n$0\r\n\r\n$-1\r\n*-1\r\n*0\r\n", ""},
		"a string with line ends":    {"$6\r\n\r\n*9\r\n\r\n:1\r\n", ""},
		"arrays":                     {"*2\r\n*2\r\n:1\r\n*0\r\n*1\r\n$1\r\na\r\n+OK\r\n", ""},
		"a status without text":      {"+\r\n", ""},
		"as many items as may be":    {"*19\r\n" + strings.Repeat(":1\r\n", 19), ""},
		"as deep as may be":          {strings.Repeat("*1\r\n", maxDepth) + ":1\r\n", ""},
		"a line that goes on":        {"+" + strings.Repeat("a", 500), ""}, // The client waits for its end, and its time runs out.
		"a TLS alert":                {"\x15\x03\x01\x00\x02\x02\x46", ""}, // Likewise.
		"an array beyond memory":     {"*4611686018427387904\r\n", "more than 20 items"},
		"an array beyond an int":     {"*99999999999999999999\r\n", "more than 20 items"},
		"an array of millions":       {"*2000000000\r\n", "more than 20 items"},
		"one item too many":          {"*20\r\n", "more than 20 items"},
		"arrays within arrays":       {"*10\r\n*10\r\n", "more than 20 items"},
		"answers without end":        {strings.Repeat(":1\r\n", 21), "more than 20 items"},
		"as many after arrays":       {ended + ":1\r\n", ""},
		"one too many after arrays":  {ended + ":1\r\n:1\r\n", "more than 20 items"},
		"too deep":                   {strings.Repeat("*1\r\n", maxDepth+1), "nests arrays more than 16 deep"},
		"a string of a terabyte":     {"$1099511627776\r\n", "more than 1000 bytes"},
		"a string beyond an int":     {"$18446744073709551616\r\n", "more than 1000 bytes"},
		"a string too long by one":   {"$995\r\n", "more than 1000 bytes"},
		"a string as long as may be": {"$992\r\n" + strings.Repeat("a", 992) + "\r\n", ""},
		"two strings, each within":   {strings.Repeat("$700\r\n"+strings.Repeat("a", 700)+"\r\n", 2), "more than 1000 bytes"},
		"too many bytes":             {"+" + strings.Repeat("a", 1000), "more than 1000 bytes"},
		"a negative length":          {"*-2\r\n", "does not answer as a Redis does"},
		"a negative string":          {"$-9223372036854775808\r\n", "does not answer as a Redis does"},
		"a length with a sign":       {"$+1\r\na\r\n", "does not answer as a Redis does"},
		"a length that is none":      {"*\r\n", "does not answer as a Redis does"},
		"a length in hexadecimal":    {"$0x1\r\na\r\n", "does not answer as a Redis does"},
		"no carriage return":         {":1\n", "does not answer as a Redis does"},
		"an empty line":              {"\r\n", "does not answer as a Redis does"},
		"HTTP":                       {"HTTP/1.1 400 Bad Request\r\n", `does not answer as a Redis does: "HTTP/1.1 400`},
		"a TLS alert and more":       {"\x15\x03\x01\n", `\x15\x03`},
		"a map":                      {"%1\r\n", "version 3"},
		"a set":                      {"~1\r\n", "version 3"},
		"an attribute":               {"|1\r\n", "version 3"},
		"a push":                     {">1\r\n", "version 3"},
		"a double":                   {",1.0\r\n", "version 3"},
		"a big number":               {"(1\r\n", "version 3"},
		"a null":                     {"_\r\n", "version 3"},
		"a boolean":                  {"#t\r\n", "version 3"},
		"a verbatim string":          {"=2\r\n", "version 3"},
		"a bulk error":               {"!2\r\n", "version 3"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, size := range []int{1, 2, 3, 7, 2000} {
				err := follow(small, c.answers, size)
				if (err == nil) != (c.wrong == "") || err != nil && !strings.Contains(err.Error(), c.wrong) {
					t.Errorf("in pieces of %d bytes: %v; want %q", size, err, c.wrong)
				}
			}
		})
	}
	large := Bounds{Bytes: 1 << 20, Items: 20}
	if err := follow(large, "+"+strings.Repeat("a", maxLine-1), 100); err != nil {
		t.Errorf("a line as long as may be: %v", err)
	}
	if err := follow(large, "+"+strings.Repeat("a", maxLine), 100); err == nil || !strings.Contains(err.Error(), "a line of more than") {
		t.Errorf("a long line: %v", err)
	}
}

// Each request begins a new answer; what an earlier one has left open goes on.
func TestEachRequestHasItsBounds(t *testing.T) {
	server, client := net.Pipe()
	c := Limit(client, small)
	full := "*19\r\n" + strings.Repeat(":1\r\n", 18) + "$915\r\n" + strings.Repeat("a", 915) + "\r\n"
	if len(full) != small.Bytes {
		t.Fatalf("%d bytes: the test is blind", len(full))
	}
	more := make(chan error, 1)
	go func() {
		defer func() { _ = server.Close() }()
		for range 5 {
			if _, err := server.Read(make([]byte, 1)); err != nil {
				return
			}
			_, _ = server.Write([]byte(full))
		}
		_, _ = server.Write([]byte("$700\r\n"))
		_, err := server.Write([]byte("more"))
		more <- err
	}()
	for range 5 {
		if _, err := c.Write([]byte("a")); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(c, make([]byte, len(full))); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 { // The error stays.
		if n, err := c.Read(make([]byte, 10)); n != 0 || !errors.Is(err, ErrTooLarge) {
			t.Errorf("beyond the bounds: read %d bytes, %v", n, err)
		}
	}
	_ = client.Close()
	if <-more == nil {
		t.Error("the connection was read after the error")
	}
}

// A client looks at the socket below, and at the one below TLS, whether it has been closed; what has none is bounded all the same.
func TestLimitLeavesTheSocket(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	socket, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = socket.Close() }()
	pipe, _ := net.Pipe()
	for name, c := range map[string]struct {
		conn net.Conn
		has  bool
	}{
		"TCP": {socket, true}, "TLS": {tls.Client(socket, &tls.Config{}), true},
		"a pipe": {pipe, false}, "TLS in a pipe": {tls.Client(pipe, &tls.Config{}), false},
	} {
		raw, has := Limit(c.conn, small).(syscall.Conn)
		if has != c.has {
			t.Errorf("%s: a socket is seen: %v", name, has)
		} else if has {
			if _, err := raw.SyscallConn(); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// FuzzCheck holds the checker against a reader that takes answers apart in the plainest way: what the checker lets pass has no more
// items than it may have and no header that announces more, however it is cut into pieces.
func FuzzCheck(f *testing.F) {
	for _, seed := range []string{
		"+OK\r\n", "*2\r\n$3\r\nabc\r\n:1\r\n", "*-1\r\n$-1\r\n", "*2000000000\r\n", "$1099511627776\r\n", "*1\r\n*1\r\n*1\r\n:1\r\n",
		">1\r\n", "%1\r\n", "-ERR\r\n", "*4611686018427387904\r\n", "\x15\x03\x01", "$6\r\n\r\n*9\r\n\r\n:1\r\n",
	} {
		f.Add([]byte(seed), uint8(3))
	}
	f.Fuzz(func(t *testing.T, answers []byte, size uint8) {
		whole := follow(small, string(answers), len(answers)+1)
		pieces := follow(small, string(answers), int(size)+1)
		if (whole == nil) != (pieces == nil) {
			t.Fatalf("whole: %v; in pieces: %v", whole, pieces)
		}
		if whole == nil {
			if items := plain(answers); items > small.Items {
				t.Fatalf("%d items have passed", items)
			}
		}
	})
}

// plain counts the items of answers that have passed, announced ones included.
func plain(answers []byte) int {
	items, within := 0, []int{}
	for len(answers) > 0 {
		end := bytes.Index(answers, []byte("\r\n"))
		if end < 0 {
			return items
		}
		line := answers[:end]
		answers = answers[end+2:]
		if len(within) == 0 {
			items++
		}
		n := 0
		for _, digit := range line[1:] {
			n = n*10 + int(digit-'0')
		}
		if line[0] == '*' && n > 0 && line[1] != '-' {
			items += n
			within = append(within, n)
			continue
		}
		if line[0] == '$' && line[1] != '-' {
			answers = answers[min(len(answers), n+2):]
		}
		for len(within) > 0 {
			within[len(within)-1]--
			if within[len(within)-1] > 0 {
				break
			}
			within = within[:len(within)-1]
		}
	}
	return items
}

// The checker costs little beside the reading itself.
func BenchmarkCheck(b *testing.B) {
	answer := "*1000\r\n" + strings.Repeat("$36\r\n"+strings.Repeat("a", 36)+"\r\n", 1000)
	buf := make([]byte, 32<<10)
	b.SetBytes(int64(len(answer)))
	for b.Loop() {
		c := checker{bounds: Bounds{Bytes: 8 << 20, Items: 1 << 17}}
		r := iotest.DataErrReader(strings.NewReader(answer))
		for {
			n, err := r.Read(buf)
			if bad := c.check(buf[:n]); bad != nil {
				b.Fatal(bad)
			}
			if err != nil {
				break
			}
		}
	}
}
