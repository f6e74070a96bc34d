// Package loopback keeps web pages away from servers that are meant for the programs of this machine.
//
// A server on a loopback address is out of reach for other machines, but not for a page of theirs in a browser here.
// The page can send requests to 127.0.0.1, as any site may to any other. It can also have its own name resolved to
// 127.0.0.1 (DNS rebinding): then the browser takes the server for that site's, and lets the page read the answers. In
// the first case the browser says so, in the headers Origin and Sec-Fetch-Site; in the second the Host header has the
// site's name. No AWS client, Lambda runtime or Prometheus sends any of that.
package loopback

import (
	"fmt"
	"net"
	"net/http"
	"strings"
)

// Guard passes on what programs of this machine ask, and answers 403 to what may come from a web page.
func Guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if why := refusal(r); why != "" {
			http.Error(w, why, http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// Bound says whether an address that is listened on is a loopback one.
func Bound(addr net.Addr) bool {
	tcp, ok := addr.(*net.TCPAddr)
	return ok && tcp.IP.IsLoopback()
}

// refusal says why a request is not answered, and what to do; "" if it is.
func refusal(r *http.Request) string {
	if !local(r.Host) {
		return fmt.Sprintf("the Host header says %.100q, and this answers on loopback only: use the address 127.0.0.1, [::1] or localhost", r.Host)
	}
	if origin := r.Header.Get("Origin"); origin != "" && origin != "http://"+r.Host {
		return fmt.Sprintf("asked by a web page of %.100q, and this is not for other sites' pages (header Origin)", origin)
	}
	// A page's requests for an image or a script have no Origin, and may still take what is meant for others.
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" && site != "same-origin" && site != "none" {
		return fmt.Sprintf("asked by a web page (header Sec-Fetch-Site: %.20q), and this is not for other sites' pages: enter its address in the browser", site)
	}
	return ""
}

// local says whether a Host header names this machine's loopback: by an address, or by the one name that no resolver
// may give away. The port may be another than the server's, as it is at the far end of an SSH tunnel. A page cannot
// choose it freely: a browser sends that which it connects to.
func local(host string) bool {
	name, port, err := net.SplitHostPort(host)
	switch {
	case err != nil: // Without a port.
		name = host
		if strings.HasPrefix(name, "[") && strings.HasSuffix(name, "]") {
			name = name[1 : len(name)-1]
		}
	case strings.Trim(port, "0123456789") != "":
		return false
	}
	ip := net.ParseIP(name)
	return ip.IsLoopback() || ip == nil && strings.EqualFold(name, "localhost")
}
