// Requests that offer another protocol (RFC 9110 §7.8).

package migration

import (
	"strings"
	"testing"

	"midstream/e2e/lab"
)

// A server that has no use for the offer answers as to any request, and the next one is not made the offer again.
func TestAnOfferOfHTTP2IsNoObstacle(t *testing.T) {
	s := newSite(t)
	s.file("film.mkv", filmSize)
	s.steady(2 << 20)
	once, _ := s.sideBySide(without(`(?m)^(< )?Date: .*\n`), filmSize, 4, "curl", "-sS", "--http2", "-D", "/dev/stderr", "-o", "out", url("film.mkv"))
	if len(once) > 0 {
		s.resumed("wwan0", once[0], 0)
	}
}

// The server of the other network would take the offer, and then continue in HTTP/2 what was begun in HTTP/1.
func TestAnOfferIsNotMadeToTheServerThatWouldTakeIt(t *testing.T) {
	s := newSite(t)
	sum := s.file("film.mkv", filmSize)
	for _, n := range s.Networks() {
		if n.Name == "wlan0" {
			s.web[n.Name] = n.Nginx(s.root, lab.ServerOptions{LimitRate: 1 << 20, Extra: "sendfile_max_chunk 32k;"})
		} else {
			s.web[n.Name] = s.apacheOfHTTP2(n, "")
		}
	}
	j := s.under("curl", "-sS", "--http2", "-o", "out", url("film.mkv"))
	j.awaitReceived(2_000_000)
	j.mustMigrate("wwan0")
	j.succeeds("out", sum)
}

// apacheOfHTTP2 takes every offer of h2c.
func (s *site) apacheOfHTTP2(n *lab.Network, extra string) *lab.Server {
	const modules = "/usr/lib/apache2/modules/"
	return n.Apache(s.root, lab.ServerOptions{Extra: "LoadModule http2_module " + modules + "mod_http2.so\nProtocols h2c http/1.1\n" + extra})
}

// Where the answer is 101 the connection is left alone, and says so.
//
// The content is short and comes slowly: with more than HTTP/2's first window of 65,535 octets, or with much of it beside the 101,
// curl 8.14 and nghttp end early by themselves, in some runs or in all.
func TestAnUpgradedConnectionIsLeftAlone(t *testing.T) {
	s := newSite(t)
	sum := s.file("film.mkv", 48_000)
	for _, n := range s.Networks() {
		s.web[n.Name] = s.apacheOfHTTP2(n, "LoadModule ratelimit_module /usr/lib/apache2/modules/mod_ratelimit.so\n"+
			"LoadModule env_module /usr/lib/apache2/modules/mod_env.so\nSetOutputFilter RATE_LIMIT\nSetEnv rate-limit 32\n")
	}
	args := []string{"curl", "-sS", "--http2", "-o", "out", "-w", "%{http_version} %{num_connects}", url("film.mkv")}
	native, j := s.job(false, args...), s.under(args...)
	native.Start()
	left := j.await("the upgrade", func(s lab.Session) bool { return strings.Contains(s.Why, "upgraded") })
	if left.Movable || left.URL != url("film.mkv") {
		t.Errorf("%+v", left)
	}
	j.mustRefuse("wwan0", "upgraded to another protocol")
	lab.Compare(t, native.succeeds("out", sum), j.succeeds("out", sum))
}
