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
			s.web[n.Name] = s.apacheOfHTTP2(n)
		}
	}
	j := s.under("curl", "-sS", "--http2", "-o", "out", url("film.mkv"))
	j.awaitReceived(2_000_000)
	j.mustMigrate("wwan0")
	j.succeeds("out", sum)
}

// apacheOfHTTP2 takes every offer of h2c.
func (s *site) apacheOfHTTP2(n *lab.Network) *lab.Server {
	return n.Apache(s.root, lab.ServerOptions{Extra: "LoadModule http2_module /usr/lib/apache2/modules/mod_http2.so\nProtocols h2c http/1.1\n"})
}

// Where the answer is 101 the connection is left alone, and says so.
func TestAnUpgradedConnectionIsLeftAlone(t *testing.T) {
	s := newSite(t)
	sum := s.file("film.mkv", filmSize)
	for _, n := range s.Networks() {
		s.web[n.Name] = s.apacheOfHTTP2(n)
	}
	args := []string{"curl", "-sS", "--http2", "--limit-rate", "3M", "-o", "out", "-w", "%{http_version} %{num_connects}", url("film.mkv")}
	native, j := s.job(false, args...), s.under(args...)
	native.Start()
	left := j.await("the upgrade", func(s lab.Session) bool { return strings.Contains(s.Why, "upgraded") })
	if left.Movable || left.URL != url("film.mkv") {
		t.Errorf("%+v", left)
	}
	j.mustRefuse("wwan0", "upgraded to another protocol")
	lab.Compare(t, native.succeeds("out", sum), j.succeeds("out", sum))
}
