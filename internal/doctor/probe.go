package doctor

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"sluice/internal/config"
)

// How long a connection, and an answer, may take.
const (
	connectTimeout = 2 * time.Second
	answerTimeout  = 2 * time.Second
)

// probe goes the way of a connection step by step, so that what ends it is known by name: to the port, through TLS, past the
// password, into the database.
func (g *gatherer) probe(ctx context.Context, e config.Endpoint) Probe {
	if p := g.wire(ctx, e); p.Obstacle != Open {
		return p
	}
	client := g.client(e)
	defer func() { _ = client.Close() }()
	err := client.Ping(ctx).Err()
	switch {
	case err == nil:
		return Probe{}
	case says(err, "NOAUTH", "WRONGPASS", "ERR invalid password", "ERR AUTH", "ERR Client sent AUTH", "ERR invalid username"):
		return Probe{Password, err}
	case says(err, "ERR DB index", "ERR invalid DB", "ERR SELECT"):
		return Probe{Database, err}
	case says(err, "NOPERM"):
		return Probe{NoRight, err}
	}
	return Probe{Unreachable, err}
}

// says tells an answer of Redis by how it begins.
func says(err error, beginnings ...string) bool {
	for _, b := range beginnings {
		if redis.HasErrorPrefix(err, b) || redis.HasErrorPrefix(err, strings.TrimPrefix(b, "ERR ")) {
			return true
		}
	}
	return false
}

// wire connects, with TLS or without, as the endpoint says; where that fails it tries the other, to tell what the server speaks.
func (g *gatherer) wire(ctx context.Context, e config.Endpoint) Probe {
	settings, err := e.TLSConfig()
	if err != nil {
		return Probe{NoURL, err}
	}
	conn, err := g.env.dial(ctx, "tcp", e.Addr())
	if err != nil {
		return Probe{Unreachable, err}
	}
	defer func() { _ = conn.Close() }()
	if settings == nil {
		err := speaks(conn)
		if err == nil {
			return Probe{}
		}
		if g.handshake(ctx, e) == nil {
			return Probe{WantsTLS, errors.New("a TLS handshake succeeds")}
		}
		return Probe{Unreachable, err}
	}
	err = shake(ctx, conn, settings)
	switch {
	case err == nil:
		return Probe{}
	case untrusted(err):
		return Probe{Certificate, err}
	}
	plain, dialErr := g.env.dial(ctx, "tcp", e.Addr())
	if dialErr != nil {
		return Probe{Unreachable, dialErr}
	}
	defer func() { _ = plain.Close() }()
	if speaks(plain) == nil {
		return Probe{NoTLS, errors.New("it answers without TLS")}
	}
	return Probe{Unreachable, fmt.Errorf("TLS handshake: %w", err)}
}

// handshake says whether the server speaks TLS, whatever its certificate. Nothing is sent over it.
func (g *gatherer) handshake(ctx context.Context, e config.Endpoint) error {
	conn, err := g.env.dial(ctx, "tcp", e.Addr())
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	return shake(ctx, conn, &tls.Config{ServerName: e.Host, InsecureSkipVerify: true, MinVersion: tls.VersionTLS12})
}

func shake(ctx context.Context, conn net.Conn, settings *tls.Config) error {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	return tls.Client(conn, settings).HandshakeContext(ctx)
}

// speaks says whether the other side answers as a Redis without TLS does: with a word, or an error such as a missing password.
func speaks(conn net.Conn) error {
	if err := conn.SetDeadline(time.Now().Add(answerTimeout)); err != nil {
		return err
	}
	if _, err := conn.Write([]byte("*1\r\n$4\r\nPING\r\n")); err != nil {
		return err
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	switch {
	case err != nil:
		return fmt.Errorf("it does not answer as a Redis: %w", err)
	case !strings.HasPrefix(line, "+") && !strings.HasPrefix(line, "-"):
		return errors.New("it does not answer as a Redis")
	}
	return nil
}

// untrusted tells a handshake that failed for the certificate.
func untrusted(err error) bool {
	var (
		verify  *tls.CertificateVerificationError
		unknown x509.UnknownAuthorityError
		host    x509.HostnameError
		invalid x509.CertificateInvalidError
	)
	return errors.As(err, &verify) || errors.As(err, &unknown) || errors.As(err, &host) || errors.As(err, &invalid)
}
