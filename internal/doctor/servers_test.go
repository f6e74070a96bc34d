package doctor_test

import (
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"testing"

	"github.com/redis/go-redis/v9"

	"sluice/lab/testenv"
)

// certificate makes a certificate for 127.0.0.1 that nobody has signed but itself, and returns the paths of it and its key.
func certificate(t *testing.T) (cert, key string) {
	t.Helper()
	made := testenv.Certificate(t, "127.0.0.1")
	raw, err := x509.MarshalPKCS8PrivateKey(made.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for path, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: made.Certificate[0]}, key: {Type: "PRIVATE KEY", Bytes: raw}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

// tlsServer starts a Redis that speaks TLS, and nothing else.
func tlsServer(t *testing.T) (addr string) {
	t.Helper()
	cert, key := certificate(t)
	return testenv.RedisServer(t, "--port", "0", "--tls-port", "{port}", "--tls-cert-file", cert, "--tls-key-file", key,
		"--tls-ca-cert-file", cert, "--tls-auth-clients", "no")
}

// command gives a Redis a command.
func command(t *testing.T, addr string, args ...any) {
	t.Helper()
	c := redis.NewClient(&redis.Options{Addr: addr})
	defer func() { _ = c.Close() }()
	if err := c.Do(t.Context(), args...).Err(); err != nil {
		t.Fatalf("%v: %v", args, err)
	}
}

// slots gives a cluster of one server all slots, and waits until it serves them.
func slots(t *testing.T, addr string) {
	t.Helper()
	command(t, addr, "CLUSTER", "ADDSLOTSRANGE", 0, 16383)
	c := redis.NewClient(&redis.Options{Addr: addr})
	defer func() { _ = c.Close() }()
	if err := testenv.WaitFor(t.Context(), func() error { return c.Exists(t.Context(), "any").Err() }); err != nil {
		t.Fatal(err)
	}
}
