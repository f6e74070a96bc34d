package testenv

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
)

// RESPServer speaks Redis's protocol until the test ends: it answers each command with whatever the test writes to the connection,
// which may be nothing. The command's name is in upper case. With settings it speaks TLS. A command that cannot be read ends the connection.
func RESPServer(tb testing.TB, settings *tls.Config, answer func(conn io.Writer, command []string)) (addr string) {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = l.Close() })
	addr = l.Addr().String()
	if settings != nil {
		l = tls.NewListener(l, settings)
	}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go serveRESP(conn, answer)
		}
	}()
	return addr
}

// Answers answers each command with a text; "" is silence.
func Answers(answer func(command []string) string) func(io.Writer, []string) {
	return func(conn io.Writer, command []string) { _, _ = io.WriteString(conn, answer(command)) }
}

func serveRESP(conn net.Conn, answer func(io.Writer, []string)) {
	defer func() { _ = conn.Close() }()
	in := bufio.NewReader(conn)
	for {
		command, err := readCommand(in)
		if err != nil {
			_, _ = io.WriteString(conn, "-ERR Protocol error\r\n")
			return
		}
		command[0] = strings.ToUpper(command[0])
		answer(conn, command)
	}
}

func readCommand(in *bufio.Reader) ([]string, error) {
	number := func(sign string) (int, error) {
		text, err := in.ReadString('\n')
		if err != nil {
			return 0, err
		}
		return strconv.Atoi(strings.TrimPrefix(strings.TrimRight(text, "\r\n"), sign))
	}
	n, err := number("*")
	if err != nil {
		return nil, err
	}
	words := make([]string, max(n, 1))
	for i := range n {
		size, err := number("$")
		if err != nil {
			return nil, err
		}
		word := make([]byte, size+2)
		if _, err := io.ReadFull(in, word); err != nil {
			return nil, err
		}
		words[i] = string(word[:size])
	}
	return words, nil
}
