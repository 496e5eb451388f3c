// Package matrix tests that whatever HTTP sends can be moved: every framing of the old response against every one
// of the new, at every structural octet, with real clients against a scripted server and against real ones.
package matrix

import (
	"bytes"
	"fmt"
	"math/rand"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"midstream/e2e/lab"
)

func TestMain(m *testing.M) { lab.Main(m) }

const (
	strong   = `"v1"`
	modified = "Sat, 05 Nov 2022 08:49:37 GMT"
	host     = "files.example"
)

func mustURL(s string) *url.URL {
	u, err := url.Parse(s)
	if err != nil {
		panic(err)
	}
	return u
}

// content is the same for the same size.
func content(size int) []byte {
	b := make([]byte, size)
	rand.New(rand.NewSource(int64(size))).Read(b)
	return b
}

// named makes the networks' DNS servers know the host.
func named(l *lab.Lab) {
	for _, n := range l.Networks() {
		n.DNS(map[string][]string{host: {n.Content()}})
	}
}

// download is a program that fetches the file, to be moved on the way.
type download struct {
	t       *testing.T
	lab     *lab.Lab
	program *lab.Program
	control *lab.Control
	out     string
}

// start starts a client under Midstream that writes the content of the file into out.
func start(t *testing.T, l *lab.Lab, args ...string) *download {
	t.Helper()
	d := &download{t: t, lab: l, out: filepath.Join(l.Dir, fmt.Sprintf("out%d", rand.Int63()))}
	d.program = l.Midstream(placed(args, d.out)...).Start()
	d.control = l.Control(d.program.Pid(), lab.Patience)
	return d
}

// reads waits until the program's only session satisfies the condition.
func (d *download) reads(what string, condition func(lab.Session) bool) lab.Session {
	d.t.Helper()
	var last lab.Session
	d.lab.Await(what, lab.Patience, func() bool {
		all, err := d.control.Sessions()
		if err != nil || len(all) == 0 {
			return false
		}
		last = all[len(all)-1]
		return condition(last)
	})
	return last
}

// move moves the program and fails the test if it cannot be.
func (d *download) move(to string) *lab.Migration {
	d.t.Helper()
	moved, err := d.control.Migrate(to)
	if err != nil {
		d.t.Fatalf("migrate: %v\n%v", err, d.program.Wait())
	}
	for _, m := range moved {
		if !m.OK {
			d.t.Fatalf("not moved: %s", m.Reason)
		}
	}
	if len(moved) == 0 {
		d.t.Fatal("there was nothing to move")
	}
	d.t.Logf("moved at %d, %s, stall %.1f ms", moved[0].Migration.Offset, moved[0].Migration.Delivery, moved[0].Migration.StallMS)
	return moved[0].Migration
}

// ends waits for the end and compares what was written.
func (d *download) ends(want []byte) {
	d.t.Helper()
	r := d.program.Wait()
	if r.Status != 0 || r.Signal != 0 {
		d.t.Errorf("it ended with %v", r)
	}
	got, err := os.ReadFile(d.out)
	if err != nil || !bytes.Equal(got, want) {
		d.t.Errorf("%d octets were written instead of %d, the first difference at %d (%v)", len(got), len(want), difference(got, want), err)
	}
	os.Remove(d.out)
}

func difference(a, b []byte) int {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return i
		}
	}
	return min(len(a), len(b))
}

// moveOrEnd is move for a program that may be at its end before it can tell that it was moved.
func (d *download) moveOrEnd(to string) {
	d.t.Helper()
	moved, err := d.control.Migrate(to)
	if err != nil {
		select {
		case <-d.program.Ended():
			return
		case <-time.After(5 * time.Second):
			d.t.Fatalf("migrate: %v", err)
		}
	}
	for _, m := range moved {
		if !m.OK && m.Reason != "the program has closed it" {
			d.t.Fatalf("not moved: %s", m.Reason)
		}
	}
}
