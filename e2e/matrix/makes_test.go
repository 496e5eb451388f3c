package matrix

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"midstream/e2e/lab"
)

// lighttpd gives no validators to what has no type.
var typed = lab.ServerOptions{Extra: `mimetype.assign = ("" => "application/octet-stream")`}

// Servers of different make that hold the same file: each has another entity tag, or none, so that the length, the date
// and the overlap have to do. Every download goes there and back.
func TestServersOfDifferentMakeContinueEachOther(t *testing.T) {
	root := t.TempDir()
	lab.Content(t, root, "file", 16<<20, 1) // not all of it before the second move, even if a datagram or a SYN has to be sent twice
	want, err := os.ReadFile(filepath.Join(root, "file"))
	if err != nil {
		t.Fatal(err)
	}
	options := map[string]lab.ServerOptions{"lighttpd": typed}
	makes := []struct {
		name  string
		start func(*lab.Network, string, lab.ServerOptions) *lab.Server
	}{
		{"nginx", (*lab.Network).Nginx}, {"Apache", (*lab.Network).Apache},
		{"lighttpd", (*lab.Network).Lighttpd}, {"Python", (*lab.Network).Python},
	}
	// The second network is the faster one: a server that ignores Range has to catch up with the first.
	l := lab.New(t, lab.Net("wlan0", lab.Link{Rate: 15_000_000}), lab.Net("wwan0", lab.Link{Rate: 40_000_000}))
	named(l)
	for i, one := range makes {
		for _, other := range makes[i+1:] {
			t.Run(fmt.Sprintf("%s and %s", one.name, other.name), func(t *testing.T) {
				first := one.start(l.Networks()[0], root, options[one.name])
				second := other.start(l.Networks()[1], root, options[other.name])
				defer first.Kill()
				defer second.Kill()
				d := start(t, l, "curl", "-sS", "-o", "OUT", "http://"+host+"/file")
				d.reads("the first octets", func(s lab.Session) bool { return s.Received > 100_000 })
				d.move(l.Networks()[1].Name)
				d.reads("octets of the other server", func(s lab.Session) bool { return s.Received > 600_000 })
				d.move(l.Networks()[0].Name)
				d.ends(want)
			})
		}
	}
}

// Of a download at a rate at which its last octets are not kept, they are as soon as another server's are to be compared with them.
func TestFastDownloadsAreCompared(t *testing.T) {
	root := t.TempDir()
	file := filepath.Join(root, "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(file, 64<<30); err != nil { // never read to its end
		t.Fatal(err)
	}
	for _, single := range []bool{false, true} {
		t.Run(fmt.Sprintf("single %t", single), func(t *testing.T) {
			l := lab.New(t)
			named(l)
			l.Configure(fmt.Sprintf("[migration]\nsingle = %t\n", single))
			l.Networks()[0].Nginx(root, lab.ServerOptions{})
			l.Networks()[1].Lighttpd(root, typed)
			d := start(t, l, "curl", "-sS", "-o", "/dev/null", "http://"+host+"/file")
			for i := range 20 {
				d.reads("octets", func(s lab.Session) bool { return s.Received > int64(i+1)*40<<20 })
				d.move(l.Networks()[(i+1)%2].Name)
			}
		})
	}
}
