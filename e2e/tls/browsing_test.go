package tls

import (
	"bytes"
	"crypto/tls"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"midstream/e2e/lab"
)

var rounds = flag.Int("rounds", 1, "how often a browser goes through its pages; with many, migrations are asked for at random")

// browsing is what the page does: objects, many at once; redirects; POST; what is kept in a cache; a download. It reports what it has seen.
const browsing = `<!doctype html><meta charset=utf-8><body><script>
const digest = async b => Array.from(new Uint8Array(await crypto.subtle.digest("SHA-256", b))).map(x => x.toString(16).padStart(2, "0")).join("");
const see = async (path, options) => { try { const r = await fetch(path, options); return [path, r.status, r.redirected, await digest(await r.arrayBuffer())].join(" "); } catch (e) { return path + " " + e; } };
const image = path => new Promise(done => { const i = new Image(); i.onload = () => done(path + " shown " + i.width); i.onerror = () => done(path + " broken"); i.src = path; document.body.append(i); });
(async () => {
  for (let round = 0; round < ROUNDS; round++) {
    const at = path => path + "?" + round, seen = [];
    const parts = [];
    for (let i = 0; i < 40; i++) parts.push(image(at("/image/" + i)), see(at("/object/" + i)));
    parts.push(see(at("/moved/temporarily")), see(at("/moved/twice")), see(at("/missing")), see(at("/download")));
    seen.push(...await Promise.all(parts));
    for (let i = 0; i < 5; i++) seen.push(await see(at("/echo/" + i), { method: "POST", body: "content ".repeat(1 << (3 * i)) }));
    for (let i = 0; i < 3; i++) seen.push(await see(at("/kept")));
    for (let i = 0; i < 20; i++) seen.push(await see(at("/small/" + i)));
    await fetch("/report", { method: "POST", body: seen.join("\n") });
  }
  await fetch("/over", { method: "POST" });
})();
</script>`

const dot = `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="7"><rect width="5" height="5"/></svg>`

// A browsed is a server of those pages in each network, and what has been asked of it.
type browsed struct {
	mutex   sync.Mutex
	asked   map[string]int
	reports []string
	over    chan struct{}
}

// paced is content that comes so slowly that it can be moved.
type paced struct{ *bytes.Reader }

func (p paced) Read(b []byte) (int, error) {
	time.Sleep(5 * time.Millisecond)
	return p.Reader.Read(b[:min(len(b), 16<<10)])
}

func (b *browsed) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Range") == "" { // what a migration asks for is no request of the browser's
		b.mutex.Lock()
		b.asked[r.Method+" "+r.URL.String()]++
		b.mutex.Unlock()
	}
	content := bytes.Repeat([]byte(r.URL.Path+" and more\n"), 900)
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("ETag", fmt.Sprintf("%q", r.URL.String()))
	var number int
	switch path := r.URL.Path; {
	case path == "/":
		w.Header().Set("Content-Type", "text/html")
		io.WriteString(w, strings.Replace(browsing, "ROUNDS", fmt.Sprint(*rounds), 1))
	case path == "/report":
		text, _ := io.ReadAll(r.Body)
		b.mutex.Lock()
		b.reports = append(b.reports, string(text))
		b.mutex.Unlock()
	case path == "/over":
		b.over <- struct{}{}
	case strings.HasPrefix(path, "/echo/"):
		io.Copy(w, r.Body)
	case path == "/moved/twice":
		http.Redirect(w, r, "/moved/temporarily?"+r.URL.RawQuery, http.StatusMovedPermanently)
	case path == "/moved/temporarily":
		http.Redirect(w, r, "/object/redirected?"+r.URL.RawQuery, http.StatusFound)
	case path == "/missing" || path == "/favicon.ico":
		http.NotFound(w, r)
	case path == "/download":
		http.ServeContent(w, r, "", time.Unix(1, 0), paced{bytes.NewReader(bytes.Repeat(content, 150))})
	case path == "/kept":
		w.Header().Set("Cache-Control", "max-age=600")
		w.Write(content)
	case strings.HasPrefix(path, "/small/"):
		w.Write(content[:100])
	default:
		if n, _ := fmt.Sscanf(path, "/image/%d", &number); n == 1 {
			w.Header().Set("Content-Type", "image/svg+xml")
			fmt.Fprintf(w, dot, number+3)
			return
		}
		http.ServeContent(w, r, "", time.Unix(1, 0), bytes.NewReader(content))
	}
}

// accepted are connections that something else has accepted.
type accepted struct {
	conns chan net.Conn
	ended chan struct{}
}

func (a accepted) Accept() (net.Conn, error) {
	select {
	case c := <-a.conns:
		return c, nil
	case <-a.ended:
		return nil, net.ErrClosed
	}
}
func (a accepted) Close() error   { close(a.ended); return nil }
func (a accepted) Addr() net.Addr { return &net.TCPAddr{} }

// closing tells of the end of a connection, which is its server's affair.
type closing struct {
	net.Conn
	closed chan struct{}
	once   sync.Once
}

func (c *closing) Close() error {
	err := c.Conn.Close()
	c.once.Do(func() { close(c.closed) })
	return err
}

// A browser that goes through pages while its connections are moved asks for the same, and shows the same.
func TestBrowsing(t *testing.T) {
	for _, command := range []string{"firefox-esr", "certutil"} {
		if _, err := exec.LookPath(command); err != nil {
			t.Skip(command + " is not there")
		}
	}
	s := newSite(t, lab.Link{})
	id := s.ca.issue("shared", host, 30)
	pair, err := tls.LoadX509KeyPair(id.certificate, id.key)
	if err != nil {
		t.Fatal(err)
	}
	b := &browsed{over: make(chan struct{})}
	conns := accepted{make(chan net.Conn), make(chan struct{})}
	server := &http.Server{Handler: b, TLSConfig: &tls.Config{Certificates: []tls.Certificate{pair}, NextProtos: []string{"http/1.1"}}}
	go server.ServeTLS(conns, "", "")
	t.Cleanup(func() { server.Close() })
	for _, n := range s.Networks() {
		n.Answer(t, n.Content(), "443", func(c net.Conn) {
			one := &closing{Conn: c, closed: make(chan struct{})}
			select {
			case conns.conns <- one:
				<-one.closed
			case <-conns.ended:
			}
		})
	}
	browse := func(label string, with func(...string) *lab.Program, meanwhile func()) (map[string]int, []string) {
		b.asked, b.reports = map[string]int{}, nil
		p, _ := s.firefox(label, with)
		p.Args[len(p.Args)-1] = "https://" + host + "/"
		p.Start()
		for end := time.After(lab.Patience * time.Duration(1+*rounds)); ; {
			select {
			case <-b.over:
				p.Process.Kill()
				p.Wait()
				return b.asked, b.reports
			case <-end:
				t.Fatal("it does not come to an end")
			default:
				meanwhile()
			}
		}
	}
	asked, reports := browse("natively", s.Command, func() { time.Sleep(10 * time.Millisecond) })
	moved, refused, to := 0, 0, 0
	asked2, reports2 := browse("moved", s.Midstream, func() {
		to = 1 - to
		for _, m := range s.migrate(networks[to]) {
			if m.OK {
				moved++
			} else {
				refused++
			}
		}
		time.Sleep(time.Duration(rand.IntN(200)) * time.Millisecond)
	})
	t.Logf("%d moved, %d left where they were", moved, refused)
	for r := range max(len(reports), len(reports2)) {
		if r >= len(reports) || r >= len(reports2) || reports[r] != reports2[r] {
			t.Errorf("round %d differs", r)
		}
	}
	for request := range merged(asked, asked2) {
		if asked[request] != asked2[request] {
			t.Errorf("%s: %d natively, %d under Midstream", request, asked[request], asked2[request])
		}
	}
	if moved == 0 || len(reports) != *rounds || strings.Contains(strings.Join(reports, ""), "broken") {
		t.Errorf("%d moved, %d reports: %.2000s", moved, len(reports), reports)
	}
}

func merged(a, b map[string]int) map[string]bool {
	all := map[string]bool{}
	for _, m := range []map[string]int{a, b} {
		for k := range m {
			all[k] = true
		}
	}
	return all
}
