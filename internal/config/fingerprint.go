package config

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"
)

// Fingerprint tells configs apart by what the functions go by, in 16 hexadecimal digits: two files have the same one if they mean the same,
// however they are written, and whatever their sections `local` and `deploy` say. Users and passwords in URLs have no part in it, since a
// short one could be guessed by trying.
func (c *Config) Fingerprint() string {
	effective := *c
	effective.Local, effective.Deploy, effective.Dir = Local{}, Deploy{}, ""
	urls := make([]string, len(c.Brokers))
	for i, b := range c.Brokers {
		scheme, rest, _ := strings.Cut(b.URL.Reveal(), "://")
		urls[i] = scheme + "://" + rest[strings.LastIndexByte(rest, '@')+1:]
	}
	effective.Brokers = slices.Clone(c.Brokers)
	for i := range effective.Brokers {
		effective.Brokers[i].URL = ""
	}
	text, err := json.Marshal(struct {
		Config Config
		URLs   []string
	}{effective, urls})
	if err != nil {
		panic(err) // Texts, numbers and durations always encode.
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8])
}
