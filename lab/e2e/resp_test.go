package e2e_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"testing"
	"time"

	"sluice/lab/testenv"
)

// respServer speaks Redis's protocol and answers what the test says; "" is silence. With TLS its certificate is signed by
// itself.
func respServer(t *testing.T, secure bool, answer func(command string) string) (addr string) {
	t.Helper()
	var settings *tls.Config
	if secure {
		settings = &tls.Config{Certificates: []tls.Certificate{selfSigned(t)}}
	}
	return testenv.RESPServer(t, settings, testenv.Answers(func(command []string) string { return answer(command[0]) }))
}

// blackHole takes connections and never says a word.
func blackHole(string) string { return "" }

// loading is a server that has just started.
func loading(string) string { return "-LOADING Redis is loading the dataset in memory\r\n" }

// scriptless has a message in each list and knows no scripts.
func scriptless(command string) string {
	switch command {
	case "EVAL", "EVALSHA":
		return "-NOSCRIPT No matching script. Please use EVAL.\r\n"
	case "LLEN":
		return ":1\r\n"
	case "SSCAN":
		return "*2\r\n$1\r\n0\r\n*0\r\n"
	case "HELLO":
		return "-ERR unknown command 'HELLO'\r\n"
	}
	return ":0\r\n"
}

func selfSigned(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}
