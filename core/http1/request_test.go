package http1

import (
	"strings"
	"testing"
)

func mustRequest(t testing.TB, lines ...string) *Request {
	t.Helper()
	r, err := ParseRequest([]byte(strings.Join(lines, "\r\n") + "\r\n\r\n"))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestRequestNamesItsHostAndURL(t *testing.T) {
	for _, c := range []struct{ line, host, wantHost, wantPort, wantURL string }{
		{"GET /a?b HTTP/1.1", "h.example:8080", "h.example", "8080", "http://h.example:8080/a?b"},
		{"GET /a HTTP/1.1", "[fd77:1::53]", "fd77:1::53", "", "http://[fd77:1::53]/a"},
		{"GET /a HTTP/1.1", "[fd77:1::53]:81", "fd77:1::53", "81", "http://[fd77:1::53]:81/a"},
		{"GET /a HTTP/1.0", "", "", "", "http://10.0.0.1:80/a"},
		{"GET /a HTTP/1.1", "u@h", "", "", "http://10.0.0.1:80/a"},
		{"GET /a HTTP/1.1", "h\x1b[31m", "", "", "http://10.0.0.1:80/a"},
		{"GET /a HTTP/1.1", "h:99999", "", "", "http://10.0.0.1:80/a"},
		{"GET http://u:p@w@H.example/x?@ HTTP/1.1", "other", "H.example", "", "http://H.example/x?@"},
		{"GET HTTPS://h:444 HTTP/1.1", "other", "h", "444", "HTTPS://h:444"},
		{"GET http://h?q HTTP/1.1", "other", "h", "", "http://h?q"},
		{"CONNECT h:443 HTTP/1.1", "other", "h", "443", "h:443"},
		{"OPTIONS * HTTP/1.1", "h", "h", "", "http://h"},
		{"GET /\xc3\xa4 HTTP/1.1", "h", "h", "", "http://h/%C3%A4"},
	} {
		lines := []string{c.line}
		if c.host != "" {
			lines = append(lines, "Host: "+c.host)
		}
		r := mustRequest(t, lines...)
		if host, port := r.Host(); host != c.wantHost || port != c.wantPort {
			t.Errorf("%q, %q: host %q port %q", c.line, c.host, host, port)
		}
		if got := r.URL("http", "10.0.0.1:80"); got != c.wantURL {
			t.Errorf("%q, %q: URL %q, want %q", c.line, c.host, got, c.wantURL)
		}
	}
	if got := mustRequest(t, "GET / HTTP/1.0").URL("http", "::1"); got != "http://[::1]/" {
		t.Errorf("address as fallback: %q", got)
	}
}

func TestOnlySafeRepeatableRequestsAreMovable(t *testing.T) {
	for _, c := range []struct {
		head string
		why  string // a word of the reason, "" where movable
	}{
		{"GET / HTTP/1.1", ""},
		{"GET / HTTP/1.0", ""},
		{"GET / HTTP/1.1\r\nContent-Length: 0", ""},
		{"GET / HTTP/1.1\r\nAuthorization: Basic eDp5", ""},
		{"GET / HTTP/1.1\r\nRange: bytes=0-", ""},
		{"GET / HTTP/1.1\r\nRange: nonsense", ""},
		{"GET http://h/ HTTP/1.1", ""},
		{"HEAD / HTTP/1.1", "HEAD"},
		{"POST / HTTP/1.1", "GET"},
		{"get / HTTP/1.1", "GET"},
		{"GET / HTTP/1.1\r\nRange: bytes=0-1,4-5", "several ranges"},
		{"GET / HTTP/1.1\r\nTimeSeekRange.dlna.org: npt=30.0-", "a place in time (TimeSeekRange.dlna.org)"},
		{"GET / HTTP/1.1\r\nRange: NPT = 30.0-", "a place in time (Range: npt)"},
		{"GET / HTTP/1.1\r\nRange: bytes=0-1\r\nRange: bytes=4-5", "several ranges"},
		{"GET / HTTP/1.1\r\nExpect: 100-continue", "Expect"},
		{"GET / HTTP/1.1\r\nContent-Length: 3", "content"},
		{"GET / HTTP/1.1\r\nContent-Length: x", "content"},
		{"GET / HTTP/1.1\r\nTransfer-Encoding: chunked", "content"},
		{"GET / HTTP/1.1\r\nUpgrade: h2c", ""},
		{"GET / HTTP/1.1\r\nUpgrade: websocket", ""},
		{"GET / HTTP/1.1\r\nAuthorization: ntlm abc", "ntlm"},
		{"GET / HTTP/1.1\r\nProxy-Authorization: Negotiate abc", "Negotiate"},
		{"GET / HTTP/1.1\r\nAuthorization: NTLM\tabc", "NTLM"},
		{"GET / HTTP/1.1\r\nHost: a\r\nHost: b", "Host"},
		{"GET ftp://h/ HTTP/1.1", "http"},
		{"GET http:///x HTTP/1.1", "host"},
		{"GET * HTTP/1.1", "target"},
		{"GET h:80 HTTP/1.1", "target"},
	} {
		ok, why := mustRequest(t, c.head).Movable()
		if ok != (c.why == "") || ok != why.None() || !strings.Contains(why.Error(), c.why) {
			t.Errorf("%q: movable %v, %q", c.head, ok, why)
		}
	}
}

func TestTheAnswerDecidesWhereAnotherProtocolIsAskedFor(t *testing.T) {
	for fields, want := range map[string]bool{
		"A: b": false, "Upgrade: h2c": false, "upgrade: H2C ,": false, "Upgrade:": false, "Upgrade: h2c\r\nUpgrade: h2c": false,
		"Upgrade: websocket": true, "Upgrade: h2c, websocket": true, "Upgrade: h2c\r\nUpgrade: TLS/1.0": true,
		"Upgrade-Insecure-Requests: 1": false,
	} {
		if got := mustRequest(t, "GET / HTTP/1.1", fields).AwaitsUpgrade(); got != want {
			t.Errorf("%q: %v", fields, got)
		}
	}
}

func FuzzParseRequest(f *testing.F) {
	for _, s := range []string{
		"GET / HTTP/1.1\r\nHost: h\r\n\r\n",
		"GET http://u:p@[::1]:80/x?y HTTP/1.0\n\n",
		"GET / HTTP/1.1\r\nA: b\r\n c\r\nRange: bytes=-5\r\n\r\n",
		"CONNECT h:443 HTTP/1.1\r\n\r\n",
	} {
		f.Add([]byte(s), []byte{0, 0, 6, 29}, "x")
	}
	f.Fuzz(func(t *testing.T, head, choice []byte, text string) {
		checkRequest(t, head)
		checkRequest(t, composeHead(requestLines, requestFields, choice, text))
	})
}

func checkRequest(t *testing.T, head []byte) {
	r, err := ParseRequest(head)
	if err != nil {
		return
	}
	raw := r.head.startRaw
	for _, field := range r.Fields {
		raw += field.Raw
	}
	if raw+r.head.end != string(head) {
		t.Errorf("the parts do not add up to %q", head)
	}
	r.Host()
	r.Movable()
	if g, present, err := r.Range(); present && err == nil && !g.IsSuffix() && g.Last >= 0 && g.Last < g.First {
		t.Errorf("range %+v", g)
	}
	if url := r.URL("http", "fallback"); strings.ContainsAny(url, " \r\n\x00\x1b\x7f") {
		t.Errorf("URL %q is not fit for display", url)
	}
}
