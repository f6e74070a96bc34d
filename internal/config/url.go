package config

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// URLError says what is wrong with a broker's URL. It holds no part of the URL that may be a password.
type URLError struct {
	Message string // What is wrong.
	Remedy  string // What to do about it.

	field string // The field of the broker that is wrong, where it is not the URL.
}

func (e *URLError) Error() string { return "read broker URL: " + e.Message + ": " + e.Remedy }

func refuse(remedy, format string, args ...any) *URLError {
	return &URLError{Message: fmt.Sprintf(format, args...), Remedy: remedy}
}

func asURLError(err error) (e *URLError) {
	_ = errors.As(err, &e)
	return e
}

// ParseBrokerURL reads a Celery broker's URL that has no TLS settings beside it. Its error is a *URLError.
func ParseBrokerURL(url string) (Endpoint, error) { return new(Broker).Endpoint(url) }

// brokerURL is what the URL alone says.
type brokerURL struct {
	endpoint    Endpoint
	verify      verification
	anyHostname bool // ssl_check_hostname=false
	ownCA       bool // ssl_ca_certs names something that is not the system's.
}

// verification is what ssl_cert_reqs asks for.
type verification int

const (
	verifyDefault  verification = iota // Not given. Celery then does not verify; Sluice does.
	verifyRequired                     // Also "optional", which Python takes for "required" on the client's side.
	verifyNone
)

// maxURL is far more than any URL with a long token for a password.
const maxURL = 8192

// schemes that are refused each with its own remedy. Kombu knows the first four, by one name or another.
var schemes = map[string]string{
	"redis+socket":   "Sluice runs on another machine than Redis: write the redis:// address that it can reach",
	"socket":         "Sluice runs on another machine than Redis: write the redis:// address that it can reach",
	"sentinel":       "write the redis:// address of the primary, such as a name that follows it",
	"redis+sentinel": "write the redis:// address of the primary, such as a name that follows it",
	"unix":           "Sluice runs on another machine than Redis: write the redis:// address that it can reach",
	"redis+tls":      "write rediss:// for TLS",
	"redis+ssl":      "write rediss:// for TLS",
	"redis+cluster":  "write redis:// or rediss://, and cluster_mode: true in sluice.yaml",
	"valkey":         "write redis:// (Valkey speaks the same protocol, and Celery knows no other name for it)",
	"valkeys":        "write rediss:// (Valkey speaks the same protocol, and Celery knows no other name for it)",
	"amqp":           "only Celery on Redis is supported",
	"amqps":          "only Celery on Redis is supported",
	"pyamqp":         "only Celery on Redis is supported",
	"sqs":            "only Celery on Redis is supported",
	"http":           "write the redis:// or rediss:// address; a provider's REST address will not do",
	"https":          "write the redis:// or rediss:// address; a provider's REST address will not do",
}

const encode = "percent-encode it in the user or password: / is %2F, # is %23, ? is %3F"

// parseURL reads the URL as kombu does (kombu.utils.url.url_to_parts, and the Redis transport's virtual_host).
func parseURL(url string) (*brokerURL, error) {
	url = strings.TrimSpace(url) // A secret often ends with a newline.
	switch {
	case url == "":
		return nil, refuse("write redis://host:6379/0 or rediss://...", "it is empty")
	case len(url) > maxURL:
		return nil, refuse("write redis://host:6379/0 or rediss://...", "it is longer than %d bytes", maxURL)
	case strings.ContainsFunc(url, func(r rune) bool { return r <= ' ' || r == 0x7f }):
		return nil, refuse("percent-encode it (a space is %20)", "it holds a space or a control character")
	}
	scheme, rest, ok := strings.Cut(url, "://")
	if !ok {
		return nil, refuse("begin with redis:// or rediss://", "it has no scheme")
	}
	if strings.Contains(rest, ";") {
		return nil, refuse("write the one address that is the primary's, such as a name that follows it; a ; in a password is %3B",
			"a list of failover addresses (a;b) does not tell which one the workers use, and the other one would look idle")
	}
	u := new(brokerURL)
	switch strings.ToLower(scheme) {
	case "redis":
	case "rediss":
		u.endpoint.TLS = true
	default:
		return nil, refuseScheme(scheme)
	}
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	authority, rest := rest[:end], rest[end:]
	if i := strings.IndexByte(rest, '@'); i >= 0 {
		return nil, refuse(encode, "there is a raw %c before the @", rest[0])
	}
	if strings.Contains(rest, "#") {
		return nil, refuse("remove it; in a password # is %23", "there is a # in it, and what follows means nothing")
	}
	path, query, _ := strings.Cut(rest, "?")
	if err := u.readAuthority(authority); err != nil {
		return nil, err
	}
	return u, u.readDatabaseAndOptions(path, query)
}

func refuseScheme(scheme string) *URLError {
	if remedy, ok := schemes[strings.ToLower(scheme)]; ok {
		return refuse(remedy, "%s:// is not supported", strings.ToLower(scheme))
	}
	return refuse("begin with redis:// or rediss://", "its scheme is not known")
}

var hostName = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9._-]*[A-Za-z0-9_.])?$`)

// readAuthority reads user:password@host:port. As in Python the last @ ends the password, so that a raw @ in it does no harm.
// Nothing of it is quoted in an error: where an @ was forgotten, the password stands in the host's place.
func (u *brokerURL) readAuthority(authority string) error {
	e := &u.endpoint
	if i := strings.LastIndexByte(authority, '@'); i >= 0 {
		user, password, _ := strings.Cut(authority[:i], ":")
		e.Username, e.Password = unquote(user), Secret(unquote(password))
		authority = authority[i+1:]
	}
	host, port := authority, ""
	if strings.HasPrefix(authority, "[") {
		inside, after, ok := strings.Cut(authority[1:], "]")
		addr, err := netip.ParseAddr(unquote(inside))
		if !ok || err != nil || !addr.Is6() || after != "" && after[0] != ':' {
			return refuse("write an IPv6 address like [::1]:6379", "what stands in brackets is no IPv6 address")
		}
		host, port = addr.String(), strings.TrimPrefix(after, ":")
	} else {
		if strings.Count(authority, ":") > 1 {
			return refuse("put an IPv6 address in brackets; user and password end with @", "there are too many colons in the host")
		}
		host, port, _ = strings.Cut(authority, ":")
		if host = strings.ToLower(unquote(host)); host == "" {
			host = "localhost" // As in Celery.
		}
		if len(host) > 253 || !hostName.MatchString(host) {
			return refuse("write a host name or an IP address; user and password end with @", "the host is not valid")
		}
	}
	e.Host, e.Port = host, 6379
	if port != "" {
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 {
			return refuse("use 1 to 65535; user and password end with @", "the port is not valid")
		}
		e.Port = int(n)
	}
	return nil
}

// maxDB is far above Redis's own 16 databases, which its setting `databases` can raise.
const maxDB = 9999

// database reads a database number as kombu reads a virtual host: empty and / are 0, and one leading / is skipped.
func database(s string) (int, bool) {
	s = strings.TrimPrefix(s, "/")
	if s == "" {
		return 0, true
	}
	n, err := strconv.ParseUint(s, 10, 32)
	return int(n), err == nil && n <= maxDB
}

func (u *brokerURL) readDatabaseAndOptions(path, query string) error {
	const remedy = "write the database's number, 0 to 9999, such as redis://host:6379/0"
	db, ok := database(unquote(strings.TrimPrefix(path, "/")))
	if !ok {
		return refuse(remedy, "what follows the host is no database number")
	}
	u.endpoint.DB = db
	options, err := splitQuery(query)
	if err != nil {
		return err
	}
	for _, o := range options {
		if o.name != "db" && o.name != "virtual_host" {
			if err := u.readOption(o); err != nil {
				return err
			}
			continue
		}
		n, ok := database(o.value)
		if !ok {
			return refuse(remedy, "%s is no database number", o.name)
		}
		if given := strings.Trim(path, "/") != "" || db != 0; given && n != db {
			return refuse("give it once", "the database is given twice, with two numbers")
		}
		db, u.endpoint.DB = n, n
	}
	return nil
}

type option struct{ name, value string }

func splitQuery(query string) (options []option, err error) {
	for part := range strings.SplitSeq(query, "&") {
		if part == "" {
			continue
		}
		name, value, _ := strings.Cut(part, "=")
		name, value = unquote(strings.ReplaceAll(name, "+", " ")), unquote(strings.ReplaceAll(value, "+", " "))
		if slices.ContainsFunc(options, func(o option) bool { return o.name == name }) {
			return nil, refuse("remove one of them", "option %s is given twice", quote(name))
		}
		options = append(options, option{name, value})
	}
	return options, nil
}

// unquote decodes percent-encoding as Python's urllib.parse.unquote does: what is no valid escape stays as it is.
func unquote(s string) string {
	if !strings.Contains(s, "%") {
		return s
	}
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if b, err := strconv.ParseUint(s[i+1:i+3], 16, 8); err == nil {
				out = append(out, byte(b))
				i += 2
				continue
			}
		}
		out = append(out, s[i])
	}
	return string(out)
}
