// Over a network that does not know the program's own servers, a mirror takes part.

package aggregate

import (
	"path/filepath"
	"testing"
	"time"

	"midstream/e2e/lab"
)

func TestAMirrorTakesPart(t *testing.T) {
	l := lab.New(t, lab.Net("wlan0", lab.Link{Rate: 48e6, Delay: 5 * time.Millisecond}), lab.Net("wwan0", lab.Link{Rate: 48e6, Delay: 5 * time.Millisecond}))
	own, mirror := t.TempDir(), t.TempDir()
	sum := lab.Content(t, own, "file.bin", 9<<20, 5)
	lab.Content(t, mirror, "pub/file.bin", 9<<20, 5)
	here, there := l.Network("wlan0"), l.Network("wwan0")
	here.DNS(map[string][]string{host: {here.Content()}})
	there.DNS(map[string][]string{"mirror.example": {there.Content()}})
	first := here.Nginx(own, lab.ServerOptions{})
	second := there.Apache(mirror, lab.ServerOptions{Extra: "LoadModule rewrite_module /usr/lib/apache2/modules/mod_rewrite.so\nRewriteEngine on\nRewriteCond %{HTTP:Cookie} .\nRewriteRule ^ - [F]\n"})
	l.Configure("[[mirrors]]\nfrom = \"http://" + host + "/\"\nto = [\"http://mirror.example/pub/\"]\n")
	p := under(t, l, "curl", "-sS", "-b", "a=secret", "-o", "got", "http://"+host+"/file.bin", "-o", "small", "http://"+host+"/small.bin")
	small := lab.Content(t, own, "small.bin", 1000, 6)
	if r := p.Run(); r.Status != 0 || r.Stderr != "" {
		t.Fatal(r)
	}
	if sumOf(t, filepath.Join(p.Dir, "got")) != sum || sumOf(t, filepath.Join(p.Dir, "small")) != small {
		t.Error("it has received other octets")
	}
	if n := there.Counters().Received; n < 700<<10 {
		t.Errorf("the mirror has brought %d octets", n)
	}
	l.Await("the server to have written down the second request", lab.Patience, func() bool { r := first.Requests(); return len(r) > 0 && r[len(r)-1].Target == "/small.bin" })
	for _, r := range second.Requests() {
		if r.Status != 206 || r.Target != "/pub/file.bin" {
			t.Errorf("the mirror was asked for %+v", r)
		}
	}
}
