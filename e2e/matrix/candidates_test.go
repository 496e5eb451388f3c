package matrix

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"midstream/e2e/lab"
)

// Servers that do not continue a download: the next one of the same name is asked, and it goes on there.
var unwilling = map[string]script{
	"500": {status: 500}, "502": {status: 502}, "503": {status: 503}, "504": {status: 504}, "429": {status: 429},
	"401": {status: 401}, "403": {status: 403}, "404": {status: 404}, "416": {status: 416}, "204": {status: 204},
	"another length": {ranges: true, etag: strong, body: content(300_001)},
	"other octets":   {ranges: true, etag: strong, body: content(299_999)[:299_999]},
	"redirects":      {status: 302, location: "https://elsewhere.example/"},
	"nonsense":       {raw: "nonsense\r\n\r\n"},
}

func TestTheNextServerIsAskedAfterOneThatCannot(t *testing.T) {
	body := content(300_000)
	l := lab.New(t)
	near, far := l.Networks()[0], l.Networks()[1]
	near.DNS(map[string][]string{host: {near.Content()}})
	far.AddAddress(far.Address(90))
	far.DNS(map[string][]string{host: {far.Content(), far.Address(90)}}, "--no-round-robin")
	good := script{body: body, etag: strong, modified: modified, ranges: true, hold: -1}
	for name, bad := range unwilling {
		t.Run(name, func(t *testing.T) {
			old := good
			old.hold = 150_000
			first := serve(t, near, old)
			bad.hold = -1
			servers := []*origin{serveAt(t, far, far.Content(), bad), serveAt(t, far, far.Address(90), good)}
			d := start(t, l, "curl", "-sS", "-o", "OUT", "http://"+host+"/file")
			first.awaits(t, d.program)
			d.reads("half of the file", func(s lab.Session) bool { return s.Received > 100_000 })
			d.moveOrEnd(far.Name)
			d.ends(body)
			for i, s := range servers {
				if len(s.requests()) == 0 {
					t.Errorf("server %d was not asked", i)
				}
			}
			first.stop()
			servers[0].stop()
			servers[1].stop()
		})
	}
}

// A connection that dies where the next network has no server that continues the download: the one after it has. Where none has,
// the program sees its original error.
func TestTheNextNetworkIsTriedAfterOneThatCannot(t *testing.T) {
	body := content(300_000)
	l := lab.New(t, lab.Net("wlan0", lab.Link{}), lab.Net("eth0", lab.Link{}), lab.Net("wwan0", lab.Link{}))
	l.Configure("[failover]\npatience = \"2s\"\n")
	named(l)
	good := script{body: body, etag: strong, modified: modified, ranges: true, hold: -1}
	for name, bad := range unwilling {
		for _, saved := range []bool{true, false} {
			if !saved && name != "503" && name != "404" && name != "other octets" {
				continue
			}
			t.Run(fmt.Sprintf("%s/%v", name, saved), func(t *testing.T) {
				old := good
				old.hold = 150_000
				first := serve(t, l.Networks()[0], old)
				bad.hold = -1
				last := bad
				if saved {
					last = good
				}
				second := serve(t, l.Networks()[1], bad)
				d := start(t, l, "curl", "-sS", "-o", "OUT", "http://"+host+"/file")
				first.awaits(t, d.program)
				d.reads("half of the file", func(s lab.Session) bool { return s.Received > 100_000 })
				first.stop()
				// Networks are tried by turns, but the one that connects first is asked first: the third comes when the second has been.
				l.Await("request to the second network's server", lab.Patience, func() bool { return len(second.requests()) > 0 })
				third := serve(t, l.Networks()[2], last)
				if saved {
					d.ends(body)
				} else {
					under, got := d.program.Wait(), file(d.out)
					again := serve(t, l.Networks()[0], old)
					native := l.Command("curl", "-sS", "-o", d.out, "http://"+host+"/file").Start()
					again.awaits(t, native)
					l.Await("half of the file", lab.Patience, func() bool { return sizeOf(d.out) > 100_000 })
					again.stop()
					want := native.Wait()
					if under.Status != want.Status || withoutCounts(under.Stderr) != withoutCounts(want.Stderr) || !strings.HasPrefix(string(body), got) {
						t.Errorf("%v, %d octets; natively %v", under, len(got), want)
					}
					os.Remove(d.out)
					again.stop()
				}
				second.stop()
				third.stop()
			})
		}
	}
}

func sizeOf(name string) int64 {
	info, err := os.Stat(name)
	if err != nil {
		return 0
	}
	return info.Size()
}

// withoutCounts takes out how many octets were still to come: servers that die were seen to have sent more or less.
func withoutCounts(text string) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return -1
		}
		return r
	}, text)
}

// Two redirects lead to the content, three do not, and none leads anywhere but to http. They hold for the one exchange: the next
// request goes to its own server.
func TestRedirectsAreFollowedTwice(t *testing.T) {
	body := content(300_000)
	l := lab.New(t)
	named(l)
	near, far := l.Networks()[0], l.Networks()[1]
	for name, c := range map[string]struct {
		next script
		why  string
	}{
		"one":         {script{redirects: 1}, ""},
		"two":         {script{redirects: 2}, ""},
		"three":       {script{redirects: 3}, "redirects without end"},
		"to https":    {script{status: 302, location: "https://" + host + "/file"}, "cannot be followed"},
		"to ftp":      {script{status: 307, location: "ftp://" + host + "/file"}, "cannot be followed"},
		"to nowhere":  {script{status: 301}, "cannot be followed"},
		"to the dark": {script{status: 308, location: "http://unknown.example/"}, "another name"},
	} {
		t.Run(name, func(t *testing.T) {
			s := script{body: body, etag: strong, modified: modified, ranges: true, hold: 150_000}
			first := serve(t, near, s)
			c.next.body, c.next.etag, c.next.modified, c.next.ranges, c.next.hold = body, strong, modified, true, -1
			second := serve(t, far, c.next)
			k := talkTo(t, l, true, plainly.talk(near.Content())...)
			k.asks("GET /file")
			<-first.held
			k.reads("half of the file", func(s lab.Session) bool { return s.Received > 100_000 })
			moved, err := k.control.Migrate(far.Name)
			switch {
			case err != nil || len(moved) != 1 || moved[0].OK != (c.why == ""):
				t.Errorf("%+v, %v", moved, err)
			case c.why != "" && !strings.Contains(moved[0].Reason, c.why):
				t.Errorf("refused because %q, want %q", moved[0].Reason, c.why)
			}
			first.release()
			k.answered()
			k.asks("GET /x?n=later")
			k.answered()
			if c.why == "" {
				all := second.requests()
				if last := all[len(all)-1]; last.URL.RequestURI() != "/x?n=later" {
					t.Errorf("the later request was for %v", last.URL)
				}
				if n := c.next.redirects + 2; len(all) < n {
					t.Errorf("%d requests were made, want %d", len(all), n)
				}
			}
			if got := k.ends(); !strings.Contains(got, "200 300000 ") || !strings.Contains(got, "200 15 ") {
				t.Errorf("it printed %s", got)
			}
			first.stop()
			second.stop()
		})
	}
}
