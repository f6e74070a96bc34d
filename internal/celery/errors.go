package celery

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/redis/go-redis/v9"

	"sluice/internal/policy"
)

// refusals begin the answers of Redis that only a person can mend. AUTH and HELLO answer some with the generic ERR.
var refusals = []string{
	"NOAUTH", "WRONGPASS", "NOPERM", "ERR invalid password", "ERR AUTH", "ERR Client sent AUTH", "ERR invalid username",
	"ERR DB index", "ERR invalid DB", "ERR SELECT", "DENIED", "CROSSSLOT",
}

// failure makes a *policy.Error of what went wrong while doing something, which goes before the cause.
func failure(doing string, err error) error {
	var known *policy.Error
	if errors.As(err, &known) {
		return err
	}
	kind := policy.BrokerUnavailable
	if refused(err) {
		kind = policy.BrokerRefused
	}
	if errors.Is(err, io.EOF) {
		err = fmt.Errorf("%w: the server closed the connection; does it want TLS?", err)
	}
	return &policy.Error{Kind: kind, Err: fmt.Errorf("%s: %w", doing, brief{err})}
}

func refused(err error) bool {
	for _, prefix := range refusals {
		if redis.HasErrorPrefix(err, prefix) || redis.HasErrorPrefix(err, strings.TrimPrefix(prefix, "ERR ")) {
			return true
		}
	}
	return ofTLS(err)
}

// ofTLS tells that the two sides do not agree on TLS: a certificate that cannot be trusted, an alert, TLS spoken to a
// server without it, or a server with TLS spoken to without it (it answers with an alert, a reply that begins with 0x15).
func ofTLS(err error) bool {
	var (
		verify  *tls.CertificateVerificationError
		header  tls.RecordHeaderError
		alert   tls.AlertError
		unknown x509.UnknownAuthorityError
		host    x509.HostnameError
		invalid x509.CertificateInvalidError
	)
	if errors.As(err, &verify) || errors.As(err, &header) || errors.As(err, &alert) || errors.As(err, &unknown) ||
		errors.As(err, &host) || errors.As(err, &invalid) {
		return true
	}
	text := err.Error()
	return strings.Contains(text, "tls: ") || strings.Contains(text, "\\x15\\x03")
}

// ofOneKey tells an error that spoils one key and nothing else.
func ofOneKey(err error) bool {
	return redis.HasErrorPrefix(err, "WRONGTYPE")
}

// reason is why a transaction failed: of the command that the server did not take, rather than of the whole.
func reason(commands []redis.Cmder, err error) error {
	for _, c := range commands {
		if e := c.Err(); e != nil && !redis.HasErrorPrefix(e, "EXECABORT") {
			return e
		}
	}
	return err
}
