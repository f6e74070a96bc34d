// Package resp bounds what a server may send in Redis's protocol, before a client of it parses anything.
//
// A client reads a length and makes room for that many elements or bytes before the first of them has come. So a server that is
// broken, or means harm, ends the whole process with one line: *4611686018427387904 is a panic, *2000000000 is gigabytes. Here each
// header is read on its way from the connection to the client, which never sees one that asks for more than it may have.
//
// Only version 2 of the protocol passes. The types of version 3 are not asked for, and have parsers of their own.
// Source: https://redis.io/docs/latest/develop/reference/protocol-spec/
package resp

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
)

// Bounds are what the answer to one request may have. A pipeline is one request, and so is a subscription with all its messages.
type Bounds struct {
	Bytes int // On the wire.
	Items int // Values, those within arrays included, as many as the headers announce.
}

const (
	// maxDepth is how deep arrays may be nested. The deepest that is ever asked for, a cluster's COMMAND, has 8 levels.
	maxDepth = 16
	// maxLine bounds a line: a header, a number, a status or an error. Redis's own errors quote 128 bytes of a command at most.
	maxLine = 4 << 10
)

// ErrTooLarge is the error of an answer that is larger than its bounds.
var ErrTooLarge = errors.New("the answer is too large")

// checker follows the answers of a server, in whatever pieces they come.
type checker struct {
	bounds Bounds
	bytes  int // Of the answer so far.
	items  int // Of the answer so far, announced ones included.

	open []int  // Of each array that has begun: how many elements are still to come.
	bulk int    // How many bytes of a string are still to come, its line end included.
	line []byte // The line so far.
	err  error  // What was wrong. Nothing is right after it.
}

// request notes that the client has sent something: an answer begins.
func (c *checker) request() { c.bytes, c.items = 0, 0 }

// check follows the next piece of what the server sends. The client must see none of a piece that is refused.
func (c *checker) check(piece []byte) error {
	if c.err == nil {
		c.err = c.follow(piece)
	}
	return c.err
}

func (c *checker) follow(piece []byte) error {
	if len(piece) > c.bounds.Bytes-c.bytes {
		return c.tooManyBytes()
	}
	for len(piece) > 0 {
		if c.bulk > 0 {
			n := min(c.bulk, len(piece))
			c.bulk -= n
			c.bytes += n
			piece = piece[n:]
			if c.bulk == 0 {
				c.done()
			}
			continue
		}
		end := bytes.IndexByte(piece, '\n')
		part := piece[:end+1]
		if end < 0 {
			part = piece
		}
		piece = piece[len(part):]
		c.bytes += len(part)
		if len(c.line)+len(part) > maxLine {
			return fmt.Errorf("the server sent a line of more than %d bytes: %.40q", maxLine, append(c.line, part...))
		}
		c.line = append(c.line, part...)
		switch c.line[0] {
		case '_', ',', '#', '!', '=', '(', '%', '~', '|', '>':
			return fmt.Errorf("the server speaks version 3 of Redis's protocol, unasked: %.40q", c.line)
		}
		if end < 0 {
			return nil
		}
		if err := c.header(); err != nil {
			return err
		}
		c.line = c.line[:0]
	}
	return nil
}

// header takes the line, which is whole.
func (c *checker) header() error {
	text, ok := bytes.CutSuffix(c.line, []byte("\r\n"))
	if !ok || len(text) == 0 {
		return c.noReply()
	}
	if len(c.open) == 0 {
		c.items++
		if c.items > c.bounds.Items {
			return c.tooManyItems()
		}
	}
	switch text[0] {
	case '+', '-', ':':
		c.done()
		return nil
	case '$', '*':
	default:
		return c.noReply()
	}
	if string(text[1:]) == "-1" { // None.
		c.done()
		return nil
	}
	n, err := strconv.ParseUint(string(text[1:]), 10, 63) // Out of range it is the largest.
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return c.noReply()
	}
	switch {
	case text[0] == '$' && n > uint64(c.bounds.Bytes-c.bytes):
		return c.tooManyBytes()
	case text[0] == '$':
		c.bulk = int(n) + len("\r\n")
	case n > uint64(c.bounds.Items-c.items):
		return c.tooManyItems()
	case n == 0:
		c.done()
	case len(c.open) >= maxDepth:
		return fmt.Errorf("the server nests arrays more than %d deep", maxDepth)
	default:
		c.items += int(n)
		c.open = append(c.open, int(n))
	}
	return nil
}

// done notes that a value has come, and with it perhaps the arrays that it is the last of.
func (c *checker) done() {
	for len(c.open) > 0 {
		last := len(c.open) - 1
		if c.open[last]--; c.open[last] > 0 {
			return
		}
		c.open = c.open[:last]
	}
}

func (c *checker) noReply() error {
	return fmt.Errorf("the server does not answer as a Redis does: %.40q", c.line)
}

func (c *checker) tooManyBytes() error {
	return fmt.Errorf("%w: it has more than %d bytes", ErrTooLarge, c.bounds.Bytes)
}

func (c *checker) tooManyItems() error {
	return fmt.Errorf("%w: it has more than %d items", ErrTooLarge, c.bounds.Items)
}
