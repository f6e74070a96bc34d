package config

import (
	"slices"
	"strings"
)

// ignored are the options of Celery, kombu and redis-py that say how the application connects, and nothing about where the
// broker is or what is in it.
var ignored = []string{
	"client_name", "connect_timeout", "fanout_patterns", "fanout_prefix", "health_check_interval", "heartbeat", "login_method",
	"max_connections", "protocol", "retry_on_error", "retry_on_timeout", "socket_connect_timeout", "socket_keepalive",
	"socket_read_size", "socket_timeout", "ssl_ciphers", "ssl_min_version", "timeout", "visibility_timeout",
}

// meant are the options that Sluice would have to obey and cannot read from a URL.
var meant = map[string]string{
	"credential_provider":  "IAM authentication is not supported: give Sluice a user with a password",
	"global_keyprefix":     "set key_prefix in sluice.yaml",
	"priority_steps":       "set priority_steps in sluice.yaml",
	"sep":                  "set separator in sluice.yaml",
	"ssl_certfile":         "client certificates are not supported: give Sluice a user with a password",
	"ssl_keyfile":          "client certificates are not supported: give Sluice a user with a password",
	"ssl_keyfile_password": "client certificates are not supported: give Sluice a user with a password",
	"ssl_password":         "client certificates are not supported: give Sluice a user with a password",
	"ssl_ca_path":          "set tls.ca_file or tls.ca_pem in sluice.yaml, and remove it",
	"ssl_ca_data":          "set tls.ca_pem in sluice.yaml, and remove it",
	"password":             "write it before the host: redis://:password@host",
	"username":             "write it before the host: redis://username:password@host",
}

// systemCAs are the files that hold the public authorities, which Go's system roots hold as well.
var systemCAs = []string{
	"/etc/ssl/certs/ca-certificates.crt", // Debian, Ubuntu, Alpine
	"/etc/pki/tls/certs/ca-bundle.crt",   // Amazon Linux, Fedora
	"/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
	"/etc/ssl/cert.pem", // Alpine
}

func (u *brokerURL) readOption(o option) error {
	if strings.HasPrefix(o.name, "ssl_") {
		u.endpoint.TLS = true // Kombu switches TLS on at any of them, whatever the scheme.
	}
	value := strings.ToLower(o.value)
	switch o.name {
	case "ssl_cert_reqs":
		switch strings.TrimPrefix(value, "cert_") {
		case "required", "optional":
			u.verify = verifyRequired
		case "none":
			u.verify = verifyNone
		default:
			return refuse("use required, optional or none", "ssl_cert_reqs has a value that is not known")
		}
		return nil
	case "ssl_check_hostname":
		u.anyHostname = value == "false" // As kombu has it: anything else is true.
		return nil
	case "ssl_ca_certs":
		u.ownCA = !slices.Contains(systemCAs, o.value) && !strings.HasSuffix(o.value, "/certifi/cacert.pem")
		return nil
	}
	if remedy, ok := meant[o.name]; ok {
		return refuse(remedy, "option %s is not supported", o.name)
	}
	if slices.Contains(ignored, o.name) {
		return nil
	}
	known := slices.Concat([]string{"db", "virtual_host", "ssl_cert_reqs", "ssl_ca_certs", "ssl_check_hostname"}, ignored)
	if strings.Trim(o.name, "abcdefghijklmnopqrstuvwxyz_") != "" {
		// It may be a piece of a password that was not percent-encoded.
		return refuse("write name=value after the ?, and percent-encode a ? in the password", "an option is not known")
	}
	return refuse(didYouMean(o.name, known), "option %s is not known", quote(o.name))
}
