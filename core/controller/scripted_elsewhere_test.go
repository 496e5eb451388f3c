// Other URLs with the same content, against a scripted shim: what is asked, and what is made of what their servers say.
package controller

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"midstream/core/channel"
	"midstream/core/config"
	"midstream/core/elsewhere"
	"midstream/core/exchange"
	"midstream/core/netif/nettest"
)

// dated answers with the content, as a file of that date.
func dated(content []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", fmt.Sprintf("%q", r.Host)) // each has its own
		w.Header().Set("Content-Type", "application/octet-stream")
		http.ServeContent(w, r, "", time.Unix(1e9, 0), strings.NewReader(string(content)))
	}
}

func TestPlacesElsewhereOfAScriptedShim(t *testing.T) {
	if !nettest.Inside(t) {
		return
	}
	w := newWorld(t)
	film := content(1 << 20)
	const mirror, old = "10.77.2.80", "10.77.1.80"
	page := func(status int) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			w.WriteHeader(status)
			w.Write([]byte("<p>gone</p>"))
		}
	}
	to := func(location string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", location)
			w.WriteHeader(http.StatusFound)
		}
	}
	for name, x := range map[string]struct {
		mirror  http.HandlerFunc
		follows string // the path that it is asked for there in the end, "" if it is not
		moves   bool
	}{
		"it has it":                    {mirror: dated(film), moves: true},
		"it redirects to itself":       {mirror: to("/moved"), follows: "/moved", moves: true},
		"by its name":                  {mirror: to("http://" + mirror + ":80/moved"), follows: "/moved", moves: true},
		"it redirects to the old name": {mirror: to("http://" + host + "/moved")},
		"or to the old address":        {mirror: to("http://" + old + "/moved")},
		"a page":                       {mirror: page(200)},
		"a page that asks for a login": {mirror: page(511)},
	} {
		t.Run(name, func(t *testing.T) {
			w.answers(dated(film))
			c := settings()
			c.Failover.Enabled = false
			c.Mirrors = elsewhere.Map{{From: "http://" + host + "/", To: []string{"http://" + mirror + "/"}}}
			p := newScripted(t, w, c)
			p.get()
			p.head()
			p.read(200_000)
			w.answers(dated(film), func(w http.ResponseWriter, r *http.Request) {
				switch {
				case r.Host == host:
					http.Error(w, "not here", http.StatusNotFound)
				case r.URL.Path == "/moved":
					dated(film)(w, r)
				default:
					x.mirror(w, r)
				}
			})
			done := p.migrate("wwan0")
			if x.moves {
				p.carryOut(p.armed())
			}
			if m := p.await(done); (m.error == nil) != x.moves {
				t.Errorf("%+v, %v", m.Migration, m.error)
			}
			if !x.moves {
				p.readAll(film)
			}
			if at := p.stream().Place().Server; at != p.w.networks[0].addr {
				t.Errorf("the program's own server is sought at %v", at)
			}
			if n := p.w.networks[0].requests(); len(n) > 0 {
				t.Errorf("the old server was asked for %v", n[0].URL)
			}
			asked := p.w.networks[1].requests()
			if last := asked[len(asked)-1]; x.follows != "" && last.URL.Path != x.follows || x.follows == "" && last.URL.Path != "/film" {
				t.Errorf("%s was asked for last", last.URL)
			}
			if i, ok := p.c.manager.Interface("wwan0"); ok && i.Captive {
				t.Error("the network is taken for one with a login page")
			}
		})
	}
	for name, location := range map[string]string{
		"where it was sent before":         "http://" + host + "/film",
		"to a private address":             "http://10.77.2.81/node",
		"to this host":                     "http://127.0.0.1/node",
		"to TLS, which it does not use":    "https://10.77.2.80/node",
		"to another protocol":              "ftp://10.77.2.80/node",
		"round and round":                  "/latest",
		"to a name that nobody knows here": "http://nowhere.example/node",
	} {
		t.Run(name, func(t *testing.T) {
			w.answers(dated(film))
			c := settings()
			c.Failover.Enabled = false
			p := newScripted(t, w, c)
			redirected(t, p, "http://10.77.2.80/latest", "http://"+host+"/film")
			p.get()
			p.head()
			p.read(200_000)
			w.answers(dated(film), func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/latest" {
					http.Error(w, "not here", http.StatusNotFound)
					return
				}
				to(location)(w, r)
			})
			if m := p.await(p.migrate("wwan0")); m.error == nil {
				t.Errorf("%+v", m.Migration)
			}
			p.readAll(film)
			if asked := p.w.networks[1].requests(); len(asked) > 4 || asked[len(asked)-1].URL.Path != "/latest" {
				t.Errorf("%d requests, the last for %v", len(asked), asked[len(asked)-1].URL)
			}
		})
	}
	t.Run("where it is redirected now", func(t *testing.T) {
		w.answers(dated(film))
		c := settings()
		c.Failover.Enabled = false
		p := newScripted(t, w, c)
		redirected(t, p, "http://10.77.2.80/latest", "http://"+host+"/film")
		p.get()
		p.head()
		p.read(200_000)
		w.answers(dated(film), func(w http.ResponseWriter, r *http.Request) {
			switch r.URL.Path {
			case "/latest":
				to("http://10.77.2.80:80/node")(w, r)
			case "/node":
				dated(film)(w, r)
			default:
				http.Error(w, "not here", http.StatusNotFound)
			}
		})
		done := p.migrate("wwan0")
		o, h := p.armed()
		if h.What != channel.Pair {
			t.Errorf("%+v", h)
		}
		p.carryOut(o, h)
		if m := p.await(done); m.error != nil || m.Offset < 200_000 {
			t.Errorf("%+v, %v", m.Migration, m.error)
		}
	})
}

// redirected has the program have been redirected.
func redirected(t *testing.T, p *scripted, from, to string) {
	t.Helper()
	host, path, _ := strings.Cut(strings.TrimPrefix(from, "http://"), "/")
	e := exchange.New(1, false, config.ProofOverlap, nil)
	e.AddRequest([]byte("GET /"+path+" HTTP/1.1\r\nHost: "+host+"\r\n\r\n"), true)
	e.AddAnswer([]byte("HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: " + to + "\r\n\r\n"))
	e.EndHead(channel.PhaseLength, 0)
	p.c.detours.Redirected(e, "")
}
