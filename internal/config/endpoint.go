package config

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net"
	"strconv"
)

// Endpoint is where a broker is and how to reach it. Printing it in any way never shows the password.
type Endpoint struct {
	Host     string // A name or an IP address, without brackets.
	Port     int
	Username string // Empty for Redis's default user.
	Password Secret
	DB       int
	TLS      bool
	// ServerName is the name that the certificate has to bear: Host unless sluice.yaml says otherwise.
	ServerName string
	// CAPEM holds the certificate authorities to trust, in PEM form; empty for the system's.
	CAPEM string
	// InsecureSkipVerify accepts any certificate. Only tls.insecure_skip_verify in sluice.yaml sets it, never a URL.
	InsecureSkipVerify bool
}

// Addr is host:port, an IPv6 address in brackets.
func (e Endpoint) Addr() string { return net.JoinHostPort(e.Host, strconv.Itoa(e.Port)) }

// TLSConfig is how to speak TLS with the broker; nil without TLS.
func (e Endpoint) TLSConfig() (*tls.Config, error) {
	if !e.TLS {
		return nil, nil
	}
	c := &tls.Config{ServerName: e.ServerName, InsecureSkipVerify: e.InsecureSkipVerify, MinVersion: tls.VersionTLS12}
	if e.CAPEM != "" {
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM([]byte(e.CAPEM)) {
			return nil, fmt.Errorf("read certificate authorities for %s: no certificate in PEM form", e.Addr())
		}
	}
	return c, nil
}

// String is the endpoint as a URL without the user and the password.
func (e Endpoint) String() string {
	scheme := "redis"
	if e.TLS {
		scheme = "rediss"
	}
	credentials := ""
	if e.Username != "" || e.Password != "" {
		credentials = redacted + "@"
	}
	return fmt.Sprintf("%s://%s%s/%d", scheme, credentials, e.Addr(), e.DB)
}

// Format writes String whatever the verb, %#v included.
func (e Endpoint) Format(f fmt.State, _ rune) { _, _ = fmt.Fprint(f, e.String()) }

// LogValue is String for structured logs.
func (e Endpoint) LogValue() slog.Value { return slog.StringValue(e.String()) }

// Endpoint reads the broker's URL, wherever it came from, and applies what the broker's settings say of TLS and clusters. Its
// error is a *URLError, which holds no part of the URL that may be a password.
func (b *Broker) Endpoint(url string) (Endpoint, error) {
	u, err := parseURL(url)
	if err != nil {
		return Endpoint{}, err
	}
	e := u.endpoint
	if b.ClusterMode && e.DB != 0 {
		return Endpoint{}, refuse("write 0 or no database number", "database %d does not exist in cluster mode", e.DB)
	}
	settings := TLS{}
	if b.TLS != nil {
		settings, e.TLS = *b.TLS, true
	}
	if !e.TLS {
		return e, nil
	}
	if err := u.refuseUnverified(settings); err != nil {
		return Endpoint{}, err
	}
	e.ServerName = settings.ServerName
	if e.ServerName == "" {
		e.ServerName = e.Host
	}
	e.CAPEM, e.InsecureSkipVerify = settings.CAPEM, settings.InsecureSkipVerify
	return e, nil
}

// refuseUnverified refuses a URL that asks for less verification, or for another, than sluice.yaml's settings give.
func (u *brokerURL) refuseUnverified(settings TLS) error {
	switch {
	case u.verify == verifyNone && !settings.InsecureSkipVerify:
		return refuse("write ssl_cert_reqs=required, or accept any certificate with `tls: {insecure_skip_verify: true}` in sluice.yaml",
			"ssl_cert_reqs=none asks for a connection that is not verified")
	case u.verify == verifyRequired && settings.InsecureSkipVerify:
		e := refuse("remove one of them", "switches off what ssl_cert_reqs in the URL asks for")
		e.field = "tls"
		return e
	case u.anyHostname && !settings.InsecureSkipVerify && settings.ServerName == "":
		return refuse("set tls.server_name in sluice.yaml to the name in the certificate, or tls.insecure_skip_verify: true",
			"ssl_check_hostname=false asks for a connection that is not verified")
	case u.ownCA && !settings.InsecureSkipVerify && settings.CAFile == "" && settings.CAPEM == "":
		return refuse("set tls.ca_file or tls.ca_pem in sluice.yaml to the same certificates; where the system's authorities do, remove ssl_ca_certs",
			"ssl_ca_certs names a file in the application's image, which Sluice cannot read")
	}
	return nil
}
