// A server of another name gives the program's library a ticket. Nobody shows by that one that it is the program's own server.

package failover

import (
	"crypto/tls"
	"net"
	"net/http"
	"path/filepath"
	"sync/atomic"
	"testing"

	"midstream/e2e/lab"
)

func TestAnotherNamesTicketProvesNothing(t *testing.T) {
	const whole = 5 << 20
	l := lab.New(t, lab.Net("wlan0", lab.Link{Rate: 8e6}), lab.Net("wwan0", lab.Link{Rate: 8e6}))
	root, folder := t.TempDir(), t.TempDir()
	sum := lab.Content(t, root, "mapped/film.mkv", whole, 7)
	ca, impostors := lab.Authority(t, filepath.Join(folder, "ca")), lab.Authority(t, filepath.Join(folder, "impostors"))
	of := func(ca, label, name string, key byte) *tls.Config {
		certificate, secret := lab.Certificate(t, ca, label, name)
		pair, err := tls.LoadX509KeyPair(certificate, secret)
		if err != nil {
			t.Fatal(err)
		}
		c := &tls.Config{Certificates: []tls.Certificate{pair}}
		c.SetSessionTicketKeys([][32]byte{{key}})
		return c
	}
	own, mirror := of(ca, "own", "own.example", 1), of(ca, "mirror", "mirror.example", 2)
	impostor := of(impostors, "impostor", "own.example", 2) // it knows the mirror's tickets

	var met, resumed, asked atomic.Int32
	own.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
		if met.Add(1) == 1 {
			return nil, nil
		}
		return impostor, nil
	}
	impostor.VerifyConnection = func(c tls.ConnectionState) error {
		if c.DidResume {
			resumed.Add(1)
		}
		return nil
	}
	files := http.FileServer(http.Dir(root))
	serve := func(n *lab.Network, c *tls.Config, handler http.HandlerFunc) {
		var listener net.Listener
		if err := n.Do(func() (err error) {
			listener, err = net.Listen("tcp", net.JoinHostPort(n.Content(), "443"))
			return err
		}); err != nil {
			t.Fatal(err)
		}
		server := &http.Server{Handler: handler}
		t.Cleanup(func() { server.Close() })
		go server.Serve(tls.NewListener(listener, c))
	}
	wlan0, wwan0 := l.Network("wlan0"), l.Network("wwan0")
	wlan0.DNS(map[string][]string{"own.example": {wlan0.Content()}})
	wwan0.DNS(map[string][]string{"mirror.example": {wwan0.Content()}})
	serve(wlan0, own, func(w http.ResponseWriter, r *http.Request) { asked.Add(1); files.ServeHTTP(w, r) })
	serve(wwan0, mirror, files.ServeHTTP)
	l.Configure("[[mirrors]]\nfrom = \"https://own.example/mapped/\"\nto = [\"https://mirror.example/mapped/\"]\n")

	p := l.Midstream("curl", "-sS", "--cacert", ca, "-o", "out", "https://own.example/mapped/film.mkv")
	p.Dir = t.TempDir()
	p.Start()
	l.Await("a part", lab.Patience, func() bool { return wlan0.Counters().Received > 500<<10 })
	if m, err := l.Control(p.Pid(), lab.Patience).Migrate("wwan0"); err != nil || len(m) != 1 || !m[0].OK {
		t.Fatalf("%+v, %v", m, err)
	}
	brought := wwan0.Counters().Received
	l.Await("a part of the mirror's", lab.Patience, func() bool { return wwan0.Counters().Received > brought+300<<10 })
	before := asked.Load()
	if m, err := l.Control(p.Pid(), lab.Patience).Migrate("wlan0"); err != nil || len(m) != 1 || m[0].OK {
		t.Errorf("%+v, %v", m, err)
	}
	if met.Load() < 2 || resumed.Load() > 0 || asked.Load() > before {
		t.Errorf("the impostor was met %d times, resumed %d sessions, was asked %d times", met.Load()-1, resumed.Load(), asked.Load()-before)
	}
	if r := p.Wait(); r.Status != 0 || lab.Sum(filepath.Join(p.Dir, "out")) != sum {
		t.Error(r)
	}
}
