package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// same compares endpoints field by field: an Endpoint prints no password, so its text is no comparison.
func same(a, b Endpoint) bool { return a == b }

func TestParseBrokerURL(t *testing.T) {
	plain := Endpoint{Host: "h", Port: 6379}
	with := func(change func(*Endpoint)) Endpoint { e := plain; change(&e); return e }
	tls := func(e *Endpoint) { e.TLS, e.ServerName = true, "h" }
	for _, test := range []struct {
		url  string
		want Endpoint
	}{
		{"redis://h", plain},
		{"redis://H:6379/0", plain},
		{"redis://h:6379//", plain},
		{" redis://h/\n", plain},
		{"redis://", with(func(e *Endpoint) { e.Host = "localhost" })},
		{"redis:///3", with(func(e *Endpoint) { e.Host, e.DB = "localhost", 3 })},
		{"redis://h:7000/3", with(func(e *Endpoint) { e.Port, e.DB = 7000, 3 })},
		{"redis://h//3", with(func(e *Endpoint) { e.DB = 3 })},
		{"redis://h/?db=3", with(func(e *Endpoint) { e.DB = 3 })},
		{"redis://h?virtual_host=3", with(func(e *Endpoint) { e.DB = 3 })},
		{"redis://h/3?virtual_host=/3", with(func(e *Endpoint) { e.DB = 3 })},
		{"redis://:secret@h", with(func(e *Endpoint) { e.Password = "secret" })},
		{"redis://user:secret@h", with(func(e *Endpoint) { e.Username, e.Password = "user", "secret" })},
		{"redis://user@h", with(func(e *Endpoint) { e.Username = "user" })},
		{"redis://u%40x:p%2F%23%3F%3B%3A%20@h", with(func(e *Endpoint) { e.Username, e.Password = "u@x", "p/#?;: " })},
		{"redis://:a@b:c@h", with(func(e *Endpoint) { e.Password = "a@b:c" })},     // As in Python, the last @ counts.
		{"redis://:100%zz%@h", with(func(e *Endpoint) { e.Password = "100%zz%" })}, // As in Python, no valid escape.
		{"redis://:a+b@h", with(func(e *Endpoint) { e.Password = "a+b" })},
		{"redis://[::1]:6380/2", Endpoint{Host: "::1", Port: 6380, DB: 2}},
		{"redis://[2001:DB8::1]", Endpoint{Host: "2001:db8::1", Port: 6379}},
		{"redis://10.0.0.5", Endpoint{Host: "10.0.0.5", Port: 6379}},
		{"redis://my_redis", Endpoint{Host: "my_redis", Port: 6379}},
		{"rediss://h", with(tls)},
		{"REDISS://h?ssl_cert_reqs=required", with(tls)},
		{"rediss://h?ssl_cert_reqs=CERT_OPTIONAL", with(tls)},
		{"redis://h?ssl_cert_reqs=CERT_REQUIRED", with(tls)}, // Kombu takes any ssl_ option for TLS.
		{"rediss://h?ssl_ca_certs=/etc/ssl/certs/ca-certificates.crt", with(tls)},
		{"rediss://h?ssl_ca_certs=/usr/lib/python3/site-packages/certifi/cacert.pem&ssl_check_hostname=true", with(tls)},
		{"redis://h?health_check_interval=30&socket_timeout=5&socket_keepalive=true&visibility_timeout=3600", plain},
	} {
		got, err := ParseBrokerURL(test.url)
		if err != nil {
			t.Errorf("ParseBrokerURL(%s) = %v", test.url, err)
			continue
		}
		if !same(got, test.want) {
			t.Errorf("ParseBrokerURL(%s)\n got %+v %q %q\nwant %+v %q %q", test.url,
				got, got.Username, got.Password.Reveal(), test.want, test.want.Username, test.want.Password.Reveal())
		}
	}
}

func TestParseBrokerURLRefuses(t *testing.T) {
	for _, test := range []struct{ url, want string }{
		{"", "it is empty"},
		{"host:6379", "it has no scheme"},
		{"host:hunter2@x", "it has no scheme"},
		{"redis://h x", "a space or a control character"},
		{"redis://h/" + strings.Repeat("0", 9000), "longer than 8192 bytes"},
		{"hunter2://h", "its scheme is not known: begin with redis://"},
		{"redis+socket:///tmp/redis.sock", "redis+socket:// is not supported: Sluice runs on another machine"},
		{"unix:///tmp/redis.sock", "unix:// is not supported"},
		{"sentinel://h:26379", "sentinel:// is not supported: write the redis:// address of the primary"},
		{"redis+tls://h", "redis+tls:// is not supported: write rediss://"},
		{"valkey://h", "valkey:// is not supported: write redis://"},
		{"amqp://h", "amqp:// is not supported"},
		{"redis://:hunter2@a;redis://:hunter2@b", "a list of failover addresses"},
		{"redis://a:6379;b:6379", "a list of failover addresses"},
		{"redis://:hunter2/x@h", "a raw / before the @: percent-encode it"},
		{"redis://:hunter2#x@h", "a raw # before the @: percent-encode it"},
		{"redis://:hunter2?x@h", "a raw ? before the @: percent-encode it"},
		{"redis://u:p@hunter2/x@h", "a raw / before the @: percent-encode it"},
		{"redis://h/0#x", "there is a # in it"},
		{"redis://::1:6379", "put an IPv6 address in brackets"},
		{"redis://[::1", "no IPv6 address"},
		{"redis://[::1]x", "no IPv6 address"},
		{"redis://[127.0.0.1]", "no IPv6 address"},
		{"redis://[hunter2]", "no IPv6 address"},
		{"redis://hünter", "the host is not valid"},
		{"redis://-h", "the host is not valid"},
		{"redis://:hunter2", "the port is not valid"},
		{"redis://h:0", "the port is not valid"},
		{"redis://h:65536", "the port is not valid"},
		{"redis://h:-1", "the port is not valid"},
		{"redis://h/hunter2", "no database number"},
		{"redis://h/10000", "no database number"},
		{"redis://h/-1", "no database number"},
		{"redis://h///3", "no database number"},
		{"redis://h?db=x", "db is no database number"},
		{"redis://h/1?db=2", "the database is given twice"},
		{"redis://h/0?db=2", "the database is given twice"},
		{"redis://h?db=1&virtual_host=2", "the database is given twice"},
		{"redis://h?db=1&db=1", `option "db" is given twice`},
		{"redis://h?socket_timeot=1", `option "socket_timeot" is not known: did you mean "socket_timeout"?`},
		{"redis://h?Hunter2=1", `an option is not known: write name=value after the ?, and percent-encode a ? in the password`},
		{"redis://h?global_keyprefix=x", "option global_keyprefix is not supported: set key_prefix"},
		{"redis://h?credential_provider=x", "IAM authentication is not supported"},
		{"rediss://h?ssl_certfile=/x", "client certificates are not supported"},
		{"redis://h?password=hunter2", "option password is not supported"},
		{"rediss://h?ssl_cert_reqs=none", "insecure_skip_verify: true"},
		{"redis://h?ssl_cert_reqs=CERT_NONE", "insecure_skip_verify: true"},
		{"rediss://h?ssl_cert_reqs=hunter2", "use required, optional or none"},
		{"rediss://h?ssl_check_hostname=False", "tls.server_name"},
		{"rediss://h?ssl_ca_certs=/app/ca.pem", "set tls.ca_file or tls.ca_pem"},
	} {
		got, err := ParseBrokerURL(test.url)
		if err == nil {
			t.Errorf("ParseBrokerURL(%s) = %v, want an error", test.url, got)
			continue
		}
		if !strings.Contains(err.Error(), test.want) {
			t.Errorf("ParseBrokerURL(%s) = %v, want %q in it", test.url, err, test.want)
		}
		if strings.Contains(err.Error(), "hunter2") || !same(got, Endpoint{}) {
			t.Errorf("ParseBrokerURL(%s) = %v, %v: it holds the password, or part of an endpoint", test.url, got, err)
		}
	}
}

// What the URL asks for and what sluice.yaml says of TLS, side by side.
func TestEndpointNeverSkipsVerificationInSilence(t *testing.T) {
	insecure := &TLS{InsecureSkipVerify: true}
	ca := &TLS{CAPEM: "-----BEGIN CERTIFICATE-----"}
	for _, test := range []struct {
		url     string
		tls     *TLS
		want    Endpoint
		wantErr string
	}{
		{"redis://h", nil, Endpoint{}, ""},
		{"redis://h", &TLS{}, Endpoint{TLS: true, ServerName: "h"}, ""},
		{"rediss://h", nil, Endpoint{TLS: true, ServerName: "h"}, ""},
		{"rediss://h", insecure, Endpoint{TLS: true, ServerName: "h", InsecureSkipVerify: true}, ""},
		{"rediss://h?ssl_cert_reqs=none", insecure, Endpoint{TLS: true, ServerName: "h", InsecureSkipVerify: true}, ""},
		{"rediss://h?ssl_cert_reqs=none", ca, Endpoint{}, "is not verified"},
		{"rediss://h?ssl_cert_reqs=none", nil, Endpoint{}, "is not verified"},
		{"rediss://h?ssl_cert_reqs=required", insecure, Endpoint{}, "remove one of them"},
		{"rediss://h?ssl_ca_certs=/app/ca.pem", ca, Endpoint{TLS: true, ServerName: "h", CAPEM: ca.CAPEM}, ""},
		{"rediss://h?ssl_check_hostname=false", &TLS{ServerName: "x"}, Endpoint{TLS: true, ServerName: "x"}, ""},
		{"rediss://h?ssl_check_hostname=false", ca, Endpoint{}, "is not verified"},
	} {
		b := Broker{TLS: test.tls}
		got, err := b.Endpoint(test.url)
		if test.wantErr != "" {
			if err == nil || !strings.Contains(err.Error(), test.wantErr) {
				t.Errorf("%s with %+v = %v, want an error with %q", test.url, test.tls, err, test.wantErr)
			}
			continue
		}
		test.want.Host, test.want.Port = "h", 6379
		if err != nil || !same(got, test.want) {
			t.Errorf("%s with %+v = %+v, %v, want %+v", test.url, test.tls, got, err, test.want)
		}
	}
}

func TestTLSConfig(t *testing.T) {
	if c, err := (Endpoint{Host: "h"}).TLSConfig(); c != nil || err != nil {
		t.Errorf("without TLS: %v, %v, want none", c, err)
	}
	c, err := Endpoint{TLS: true, ServerName: "x"}.TLSConfig()
	if err != nil || c.ServerName != "x" || c.InsecureSkipVerify || c.RootCAs != nil {
		t.Errorf("with TLS: %+v, %v, want x verified against the system's roots", c, err)
	}
	if _, err := (Endpoint{TLS: true, CAPEM: "no PEM"}).TLSConfig(); err == nil {
		t.Error("a CA that is no PEM was accepted")
	}
	loaded, err := Load("testdata/valid/full.yaml")
	if err != nil {
		t.Fatal(err)
	}
	e, err := loaded.Brokers[0].Endpoint("rediss://h")
	if err != nil {
		t.Fatal(err)
	}
	c, err = e.TLSConfig()
	if err != nil || c.RootCAs == nil || c.ServerName != "redis.internal" {
		t.Errorf("with ca_file: %+v, %v, want its roots and server_name", c, err)
	}
}

func TestNothingPrintsThePassword(t *testing.T) {
	const url = "redis://user:hunter2@h:6379/1"
	c, err := Parse([]byte("version: 1\nbrokers: [{name: main, url: '"+url+"'}]\n"+
		"targets: [{name: a, cluster: c, service: s, queues: [q], max: 1}]\n"), "sluice.yaml")
	if err != nil {
		t.Fatal(err)
	}
	e, err := c.Brokers[0].Endpoint(c.Brokers[0].URL.Reveal())
	if err != nil || e.Password.Reveal() != "hunter2" {
		t.Fatalf("Endpoint = %v, %v", e, err)
	}
	var out bytes.Buffer
	for _, value := range []any{c, *c, c.Brokers, c.Brokers[0], &c.Brokers[0], c.Brokers[0].URL, e, &e, e.Password} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			fmt.Fprintf(&out, verb+"\n", value)
		}
		for _, handler := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
			slog.New(handler).Info("value", "value", value)
		}
		if err := json.NewEncoder(&out).Encode(value); err != nil {
			t.Fatal(err)
		}
	}
	for _, secret := range []string{"hunter2", fmt.Sprintf("%x", "hunter2")} {
		if strings.Contains(out.String(), secret) {
			t.Errorf("%s was printed:\n%s", secret, out.String())
		}
	}
	if diff := cmp.Diff("redis://[redacted]@h:6379/1", e.String()); diff != "" {
		t.Error(diff)
	}
}

func FuzzParseBrokerURL(f *testing.F) {
	for _, seed := range []string{
		"redis://user:SECRET@h:6379/0", "rediss://:SECRET@h?ssl_cert_reqs=none", "redis://SECRET", "redis://:SECRET",
		"redis://:SECRET/@h", "redis://[SECRET]:1/2?a=b", "redis://h/SECRET", "a;b://SECRET", "redis://:SECRET%zz@[::1%eth0]:99999",
		"redis://h?db=SECRET&virtual_host=SECRET", "\x00redis://SECRET", "redis://@@@:::SECRET",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, url string) {
		e, err := ParseBrokerURL(url)
		if err == nil {
			if e.Host == "" || e.Port < 1 || e.Port > 65535 || e.DB < 0 || e.DB > maxDB || e.InsecureSkipVerify {
				t.Errorf("ParseBrokerURL(%q) = %+v", url, e)
			}
			return
		}
		// An option's name is all that an error may quote.
		if _, query, _ := strings.Cut(url, "?"); strings.Contains(err.Error(), "SECRET") && !strings.Contains(query, "SECRET") {
			t.Errorf("ParseBrokerURL(%q) = %v: it holds the password", url, err)
		}
	})
}
