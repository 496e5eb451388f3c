package tls

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"midstream/e2e/lab"
)

// What Midstream's configuration knows of the far proxy, and what must be read nowhere.
const (
	secret = "s3cr3tword"
	coded  = "YW5uOnMzY3IzdHdvcmQ" // of ann:s3cr3tword, as Basic authentication sends it
)

// raise starts a proxy of that make in a network, "" none.
func (s *site) raise(network, kind string, password bool) *lab.Server {
	s.t.Helper()
	n := s.Network(network)
	switch kind {
	case "squid":
		extra := ""
		if password {
			file := s.Dir + "/helper"
			script := "#!/bin/sh\nwhile read -r user password; do\n  if [ \"$user $password\" = \"ann " + secret + "\" ]; then echo OK; else echo ERR; fi\ndone\n"
			if err := os.WriteFile(file, []byte(script), 0o755); err != nil {
				s.t.Fatal(err)
			}
			os.Chmod(s.Dir, 0o755)
			extra = "auth_param basic program " + file + "\nauth_param basic children 1\nacl known proxy_auth REQUIRED\nhttp_access deny !known\n"
		}
		return n.Squid(extra)
	case "tinyproxy":
		extra := ""
		if password {
			extra = "BasicAuth ann " + secret + "\n"
		}
		return n.TinyproxyWith(extra)
	}
	return nil
}

// through makes a program use a proxy of the first network, by its environment.
func (s *site) through(p *lab.Program) *lab.Program {
	near := fmt.Sprintf("http://%s:%d", s.Network("wlan0").Proxy(), lab.ProxyPort)
	p.Env = append(p.Env, "https_proxy="+near, "HTTPS_PROXY="+near)
	if slices.Contains(p.Args, "ffmpeg") {
		p.Env = append(p.Env, "http_proxy="+near) // it knows no other
	}
	return p
}

// keepsSecret looks for the proxy's password where nobody may read it.
func (s *site) keepsSecret(texts ...string) {
	s.t.Helper()
	log, _ := os.ReadFile(s.LogFile())
	for _, text := range append(texts, string(log)) {
		if strings.Contains(text, secret) || strings.Contains(text, coded) {
			s.t.Error("the proxy's password is told")
		}
	}
}

// Programs whose way to the server is a tunnel, or becomes one, move as others do: asked for, and when the server, its
// network or the proxy fails.
func TestTunnels(t *testing.T) {
	cases := []struct {
		name      string
		near, far string // makes of proxies
		password  bool
		fail      func(s *site, near *lab.Server) // instead of a request
	}{
		{name: "squid to direct", near: "squid"},
		{name: "tinyproxy to direct", near: "tinyproxy"},
		{name: "squid to tinyproxy, password", near: "squid", far: "tinyproxy", password: true},
		{name: "tinyproxy to squid, password", near: "tinyproxy", far: "squid", password: true},
		{name: "direct to squid", far: "squid"},
		{name: "direct to tinyproxy, password", far: "tinyproxy", password: true},
		{name: "squid killed", near: "squid", fail: func(s *site, near *lab.Server) { near.Kill() }},
		{name: "carrier of tinyproxy lost", near: "tinyproxy", far: "squid", password: true,
			fail: func(s *site, near *lab.Server) { s.Network("wlan0").CarrierDown() }},
		{name: "server reset, then a tunnel", far: "tinyproxy", password: true,
			fail: func(s *site, near *lab.Server) { s.Network("wlan0").ResetConnections() }},
		{name: "server behind squid killed", near: "squid", far: "tinyproxy",
			fail: func(s *site, near *lab.Server) { s.web["wlan0"].Kill() }},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t, lab.Link{})
			s.rate *= 2
			s.serve(nil)
			near, far := s.raise("wlan0", c.near, false), s.raise("wwan0", c.far, c.password)
			if far != nil {
				user := ""
				if c.password {
					user = "ann:" + secret + "@"
				}
				s.Configure(fmt.Sprintf("proxy = \"http://%s%s:%d\"\n", user, s.Network("wwan0").Proxy(), lab.ProxyPort))
			}
			list := programs
			if c.password {
				list = programs[:3]
			}
			if c.fail != nil {
				list = programs[:1]
			}
			for _, p := range list {
				if near != nil && p.name == "lftp" {
					continue // it lets its proxy speak TLS
				}
				t.Run(p.name, func(t *testing.T) {
					s.t = t
					out := s.out(p.name)
					prepare := func(p *lab.Program) *lab.Program {
						if near != nil {
							return s.through(p)
						}
						return p
					}
					var native lab.Result // it says nothing
					if !c.password && c.fail == nil {
						native = prepare(s.Command(p.args(s, out)...)).Run()
						s.intact("natively", out)
						os.Remove(out)
					}
					run := prepare(s.Midstream(p.args(s, out)...)).Start()
					if !s.reached(run, out, size/3) {
						t.Fatalf("%v", run.Wait())
					}
					var moved []lab.Moved
					listed := ""
					if c.fail != nil {
						c.fail(s, near)
					} else {
						moved = s.migrate("wwan0")
						listed = s.Ctl("sessions", "--json").Run().Stdout
						if len(moved) != 1 || !moved[0].OK {
							t.Errorf("%+v", moved)
						} else if at := moved[0].Migration.To.Server; far != nil != strings.HasSuffix(at, ":3128") {
							t.Errorf("moved to %s", at)
						}
					}
					r := run.Wait()
					lab.Compare(t, native, r)
					s.intact("moved", out)
					s.keepsSecret(listed, fmt.Sprintf("%+v", moved))
					if far != nil {
						far.WaitLine("the tunnel", lab.Patience, func(line string) bool { return strings.Contains(line, "CONNECT "+host+":443") })
					}
				})
			}
		})
	}
}

// A proxy that makes no tunnel: the reason says so, the password stays secret, and the download ends where it began.
func TestRefusedTunnels(t *testing.T) {
	for name, c := range map[string]struct {
		raise  func(s *site)
		reason string
	}{
		"wrong password": {func(s *site) { s.Network("wwan0").TinyproxyWith("BasicAuth ann another\n") }, "40"},
		"forbidden port": {func(s *site) { s.Network("wwan0").TinyproxyWith("ConnectPort 563\n") }, "answered 403 to CONNECT"},
		"absent":         {func(s *site) {}, "could be reached"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, lab.Link{})
			s.serveAt(s.Network("wwan0"), identity{})
			near := s.slow("wlan0")
			s.Configure(fmt.Sprintf("proxy = \"http://ann:%s@%s:%d\"\n", secret, s.Network("wwan0").Proxy(), lab.ProxyPort))
			c.raise(s)
			out := s.out("out")
			r, moved := s.moveOnce(s.Midstream(programs[0].args(s, out)...), out, near)
			if r.Status != 0 || r.Stderr != "" {
				t.Errorf("%v", r)
			}
			s.intact("curl", out)
			if len(moved) != 1 || moved[0].OK || !strings.Contains(moved[0].Reason, c.reason) {
				t.Errorf("%+v", moved)
			}
			s.keepsSecret(fmt.Sprintf("%+v", moved))
		})
	}
}
