package matrix

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"midstream/e2e/lab"
)

// between moves a download of the body from one scripted server, held half-way, to another one.
func between(t *testing.T, over transport, config string, old, next script) (*download, []lab.Moved, *origin, *origin) {
	t.Helper()
	l := lab.New(t)
	l.Configure("[migration]\n" + config)
	named(l)
	if old.hold == 0 {
		old.hold = 150_000
	}
	next.hold = -1
	old.over, next.over = over, over
	first, second := serve(t, l.Networks()[0], old), serve(t, l.Networks()[1], next)
	args := []string{"--limit-rate", "20M"}
	if _, scheme, ok := strings.Cut(old.fields, "X-Ask: "); ok {
		args = append(args, "-H", "Authorization: "+strings.TrimSpace(scheme)+" abc")
	}
	d := start(t, l, over.curl(args...)...)
	<-first.held
	d.reads("half of the file", func(s lab.Session) bool { return s.Received > 100_000 })
	moved, err := d.control.Migrate(l.Networks()[1].Name)
	if err != nil {
		select {
		case <-d.program.Ended():
		case <-time.After(5 * time.Second):
			t.Fatal(err)
		}
	}
	return d, moved, first, second
}

// What the rungs of the ladder accept.
func TestEqualContentIsAccepted(t *testing.T) { both(t, testEqualContent) }

func testEqualContent(t *testing.T, over transport) {
	body := content(300_000)
	for name, c := range map[string]struct {
		config    string
		old, next script
	}{
		"other strong ETags, equal date and overlap": {"",
			script{etag: `"a"`, modified: modified}, script{etag: `"b"`, modified: modified, ranges: true}},
		"weak ETags": {"",
			script{etag: `W/"a"`, modified: modified}, script{etag: `W/"a"`, modified: modified, ranges: true}},
		"a 200 under the same proof": {"",
			script{etag: `"a"`, modified: modified}, script{etag: `"b"`, modified: modified}},
		"an equal length, trusted": {`proof = "trust"`,
			script{}, script{ranges: true}},
		"a range that begins earlier than asked": {"",
			script{etag: strong}, script{etag: strong, ranges: true, earlier: 70_000}},
		"the same in chunks": {"",
			script{etag: strong, framing: "chunked"}, script{etag: strong, framing: "chunked", ranges: true, earlier: 70_000}},
		"a strong ETag without a length": {`proof = "strict"`,
			script{etag: strong, framing: "chunked"}, script{etag: strong, ranges: true}},
	} {
		t.Run(name, func(t *testing.T) {
			c.old.body, c.next.body = body, body
			d, moved, _, _ := between(t, over, c.config, c.old, c.next)
			for _, m := range moved {
				// The old server is held: a program that has ended before it could tell has been moved.
				if !m.OK && m.Reason != "the program has closed it" {
					t.Fatalf("not moved: %s", m.Reason)
				}
			}
			d.ends(body)
		})
	}
}

// What they refuse: the download goes on over the old connection, and is whole.
func TestOtherContentIsRefused(t *testing.T) { both(t, testOtherContent) }

func testOtherContent(t *testing.T, over transport) {
	body := content(300_000)
	lie := bytes.Clone(body)
	lie[149_000] ^= 1
	for name, c := range map[string]struct {
		config    string
		old, next script
		why       string
	}{
		"one octet of the overlap differs": {"",
			script{etag: strong, modified: modified}, script{etag: strong, modified: modified, ranges: true, body: lie}, "another one than what has been received"},
		"one octet differs in a 200": {"",
			script{etag: strong, modified: modified}, script{etag: strong, modified: modified, body: lie}, "another one than what has been received"},
		"other ETags, strict": {`proof = "strict"`,
			script{etag: `"a"`, modified: modified}, script{etag: `"b"`, modified: modified, ranges: true}, "validator"},
		"another date": {"",
			script{modified: modified}, script{modified: "Sat, 05 Nov 2022 08:49:38 GMT", ranges: true}, "another content"},
		"another length, trusted": {`proof = "trust"`,
			script{}, script{ranges: true, body: content(300_001)}, ""},
		"another length, the same strong ETag": {"",
			script{etag: strong}, script{etag: strong, ranges: true, body: content(300_001)}, "octets"},
		"another length with trust, chunked": {`proof = "trust"`,
			script{etag: strong}, script{etag: strong, ranges: true, framing: "chunked", body: content(300_001)}, "octets"},
		"another date, trusted": {`proof = "trust"`,
			script{modified: modified}, script{modified: "Sat, 05 Nov 2022 08:49:38 GMT", ranges: true}, "another content"},
		"another strong ETag, trusted": {`proof = "trust"`,
			script{etag: `"a"`}, script{etag: `"b"`, ranges: true}, "validator"},
		"another coding, trusted": {`proof = "trust"`,
			script{}, script{fields: "Content-Encoding: gzip\r\n", ranges: false}, "another content"},
		"other octets, trusted": {`proof = "trust"`,
			script{}, script{ranges: true, body: lie}, "another one than what has been received"},
		"a weak ETag and no date": {"",
			script{etag: `W/"a"`}, script{etag: `W/"a"`, ranges: true}, "neither a strong validator nor a date"},
		"a date that is not strong, strict": {`proof = "strict"`,
			script{modified: "Sun, 06 Nov 2022 08:49:37 GMT"}, script{modified: "Sun, 06 Nov 2022 08:49:37 GMT", ranges: true}, "no strong validator"},
		"Negotiate": {"", script{etag: strong, fields: "X-Ask: Negotiate\r\n"}, script{etag: strong, ranges: true}, "bound to the connection"},
		"NTLM":      {"", script{etag: strong, fields: "X-Ask: NTLM\r\n"}, script{etag: strong, ranges: true}, "bound to the connection"},
		"more to skip than allowed": {`skip_limit = 1000`,
			script{etag: strong}, script{etag: strong}, "may be skipped"},
		"no validator at all": {"",
			script{}, script{ranges: true}, "neither a strong validator nor a date"},
		"a login page": {"",
			script{etag: strong, fields: "Content-Type: video/mp4\r\n"},
			script{body: []byte("<html>log in</html>"), fields: "Content-Type: text/html\r\n"}, "login page"},
		"another date, and another ETag": {"",
			script{etag: `"a"`, modified: modified}, script{etag: `"b"`, modified: "Sat, 05 Nov 2022 08:49:38 GMT", ranges: true}, "Last-Modified Sat, 05 Nov 2022 08:49:38"},
		"another length": {"",
			script{etag: `"a"`, modified: modified}, script{etag: `"a"`, modified: modified, ranges: true, body: content(300_001)}, "to 300000 instead of"},
		"503": {"", script{etag: strong}, script{status: 503}, "503"},
	} {
		t.Run(name, func(t *testing.T) {
			c.old.body = body
			if c.next.body == nil {
				c.next.body = body
			}
			d, moved, first, _ := between(t, over, c.config, c.old, c.next)
			if len(moved) != 1 || moved[0].OK || !strings.Contains(moved[0].Reason, c.why) {
				t.Errorf("%+v, want a refusal because of %q", moved, c.why)
			}
			first.release()
			d.ends(body)
		})
	}
}

// A redirect is followed to the name that the program asked for, and to the server that the program's own answer came from,
// which is shown no credentials where it is named otherwise; and to nobody else.
func TestRedirectsAreFollowedToTheSameNameOnly(t *testing.T) {
	body := content(300_000)
	for location, follows := range map[string]bool{
		"/there": true, "http://" + host + ":80/there": true, "http://10.77.1.80/there": true,
		"http://mirror.example/there": false, "http://10.77.2.81/there": false, "http://10.77.2.80/there": false, "http://127.0.0.1/there": false,
		"http://" + host + ":81/there": false, "http://" + host + ".:80/there": true,
	} {
		t.Run(location, func(t *testing.T) {
			l := lab.New(t)
			for _, n := range l.Networks() {
				n.DNS(map[string][]string{host: {n.Content()}, "mirror.example": {n.Proxy()}})
			}
			net := l.Networks()[1]
			first := serve(t, l.Networks()[0], script{body: body, etag: strong, hold: 150_000})
			if err := net.IP("addr add 10.77.1.80/32 dev lo"); err != nil { // as the old server, seen from there
				t.Fatal(err)
			}
			s := script{body: body, etag: strong, ranges: true, status: 302, location: location, hold: -1}
			second := serve(t, net, s)
			mirror := serveAt(t, net, net.Proxy(), script{body: body, etag: strong, ranges: true, hold: -1})
			old := serveAt(t, net, "10.77.1.80", script{body: body, etag: strong, ranges: true, hold: -1})
			d := start(t, l, "curl", "-sS", "-H", "Authorization: Basic c2VjcmV0", "-H", "Cookie: secret=1", "-o", "OUT", "http://"+host+"/file")
			<-first.held
			d.reads("half of the file", func(s lab.Session) bool { return s.Received > 100_000 })
			if follows {
				d.moveOrEnd(net.Name)
			} else if moved, err := d.control.Migrate(net.Name); err != nil || len(moved) != 1 || moved[0].OK {
				t.Errorf("%+v, %v", moved, err)
			}
			first.release()
			d.ends(body)
			for _, r := range mirror.requests() {
				t.Errorf("the mirror was asked for %v with %v", r.URL, r.Header)
			}
			for _, r := range old.requests() {
				if r.Header.Get("Authorization") != "" || r.Header.Get("Cookie") != "" {
					t.Errorf("an address was shown %v", r.Header)
				}
			}
			asked := second.requests()
			if strings.HasPrefix(location, "/") || strings.Contains(location, host+":80") {
				if last := asked[len(asked)-1]; last.URL.Path != "/there" || last.Header.Get("Authorization") == "" {
					t.Errorf("the same name was asked for %v with %v", last.URL, last.Header)
				}
			}
		})
	}
}

// Over TLS, a redirect is followed as far as the name stays the same.
func TestRedirectsOverTLSKeepTheName(t *testing.T) {
	body := content(300_000)
	for location, follows := range map[string]bool{
		"/there": true, "https://" + host + "/there": true, "//" + host + ":443/there": true,
		"https://mirror.example/there": false, "http://" + host + "/there": false, "https://" + host + ":444/there": false,
	} {
		t.Run(location, func(t *testing.T) {
			d, moved, first, second := between(t, overTLS, "", script{body: body, etag: strong, framing: "chunked"},
				script{body: body, etag: strong, ranges: true, status: 302, location: location})
			for _, m := range moved {
				if m.OK != follows && m.Reason != "the program has closed it" {
					t.Errorf("moved %v: %s", m.OK, m.Reason)
				}
			}
			if !follows {
				first.release()
			}
			d.ends(body)
			asked := second.requests()
			if followed := len(asked) > 0 && asked[len(asked)-1].URL.Path == "/there"; followed != follows {
				t.Errorf("it was asked for %v", asked)
			}
		})
	}
}

// A program whose response ends with its connection is handed what the new server's Content-Range says: no octet less where the
// connection ends earlier, and none more where it goes on.
func TestContentRangeBoundsContent(t *testing.T) { both(t, testContentRangeBounds) }

func testContentRangeBounds(t *testing.T, over transport) {
	body := content(6_000_000)
	for name, next := range map[string]script{
		"it ends early":                   {framing: "close", final: true, short: 1_200_000},
		"it ends early, soon":             {framing: "close", final: true, short: 10_000},
		"it ends early, unannounced":      {framing: "close", short: 1_200_000},
		"it ends early, and has a length": {short: 1_200_000, final: true},
		"it goes on":                      {framing: "close", final: true, beyond: 100_000},
		"it goes on, unannounced":         {framing: "close", beyond: 100_000},
		"it goes on, by HTTP/1.0":         {framing: "http10", beyond: 1},
	} {
		t.Run(name, func(t *testing.T) {
			next.body, next.etag, next.ranges = body, strong, true
			d, moved, _, second := between(t, over, "", script{body: body, etag: strong, framing: "close"}, next)
			for _, m := range moved {
				if !m.OK && m.Reason != "the program has closed it" {
					t.Errorf("not moved: %s", m.Reason)
				}
			}
			d.ends(body)
			if n := len(second.requests()); n > 3 {
				t.Errorf("the new server was asked %d times", n)
			}
		})
	}
}
