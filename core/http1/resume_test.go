package http1

import (
	"bytes"
	"strings"
	"testing"
)

func TestResumeRequestChangesRangeAndNothingElse(t *testing.T) {
	for _, c := range []struct {
		name, head  string
		first, last int64
		ifRange     string
		form        Form
		want        string
	}{
		{"appended", "GET /a HTTP/1.1\r\nhost:  h \r\nA: b\r\n\tc\r\n\r\n", 5, -1, `"e"`, Form{},
			"GET /a HTTP/1.1\r\nhost:  h \r\nA: b\r\n\tc\r\nRange: bytes=5-\r\nIf-Range: \"e\"\r\n\r\n"},
		{"no validator", "GET /a HTTP/1.1\r\n\r\n", 5, 9, "", Form{},
			"GET /a HTTP/1.1\r\nRange: bytes=5-9\r\n\r\n"},
		{"in place of the old", "GET /a HTTP/1.1\r\nIf-Range: x\r\nA: b\r\nrange: bytes=0-\r\nC: d\r\n\r\n", 5, -1, `"e"`, Form{},
			"GET /a HTTP/1.1\r\nIf-Range: \"e\"\r\nA: b\r\nRange: bytes=5-\r\nC: d\r\n\r\n"},
		{"If-Range beside the old Range", "GET /a HTTP/1.1\r\nRange: bytes=0-\r\nC: d\r\n\r\n", 5, -1, `"e"`, Form{},
			"GET /a HTTP/1.1\r\nRange: bytes=5-\r\nIf-Range: \"e\"\r\nC: d\r\n\r\n"},
		{"old If-Range goes", "GET /a HTTP/1.1\r\nIf-Range: x\r\nRange: bytes=0-\r\n\r\n", 5, -1, "", Form{},
			"GET /a HTTP/1.1\r\nRange: bytes=5-\r\n\r\n"},
		{"bare LF", "GET /a HTTP/1.1\nA: b\n\n", 0, -1, "", Form{},
			"GET /a HTTP/1.1\nA: b\nRange: bytes=0-\n\n"},
		{"plain repetition", "GET /a HTTP/1.1\r\nRange: bytes=3-\r\nIf-Range: x\r\n\r\n", -1, -1, `"e"`, Form{},
			"GET /a HTTP/1.1\r\nRange: bytes=3-\r\nIf-Range: x\r\n\r\n"},
		{"an offer of HTTP/2", "GET /a HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\nA: b\r\n\r\n",
			5, -1, "", Form{}, "GET /a HTTP/1.1\r\nHost: h\r\nA: b\r\nRange: bytes=5-\r\n\r\n"},
		{"an offer, repeated whole", "GET /a HTTP/1.1\nconnection: keep-alive,upgrade, TE ,http2-settings\nConnection: close\nupgrade: h2c\nTE: trailers\n\n",
			-1, -1, "", Form{}, "GET /a HTTP/1.1\nconnection: keep-alive, TE\nConnection: close\nTE: trailers\n\n"},
		{"an offer of WebSocket", "GET /a HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\r\n",
			5, -1, "", Form{}, "GET /a HTTP/1.1\r\nSec-WebSocket-Version: 13\r\nRange: bytes=5-\r\n\r\n"},
		{"to last", "GET /a HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", 5, 9, "", Form{Lasting: true},
			"GET /a HTTP/1.1\r\nHost: h\r\nRange: bytes=5-9\r\n\r\n"},
		{"to last, with others", "GET /a HTTP/1.1\r\nConnection: TE,Close\r\nTE: trailers\r\nHost: h\r\n\r\n", 5, 9, "", Form{Lasting: true},
			"GET /a HTTP/1.1\r\nConnection: TE\r\nTE: trailers\r\nHost: h\r\nRange: bytes=5-9\r\n\r\n"},
		{"to last, HTTP/1.0", "GET /a HTTP/1.0\r\nHost: h\r\n\r\n", 5, 9, "", Form{Lasting: true},
			"GET /a HTTP/1.0\r\nHost: h\r\nRange: bytes=5-9\r\nConnection: keep-alive\r\n\r\n"},
		{"to last, HTTP/1.0 that asks for it", "GET /a HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", 5, 9, "", Form{Lasting: true},
			"GET /a HTTP/1.0\r\nConnection: Keep-Alive\r\nRange: bytes=5-9\r\n\r\n"},
		{"an offer on another way", "GET /a HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n", -1, -1, "", Form{Kind: AbsoluteForm, First: true},
			"GET http://h/a HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"},

		{"proxy to server", "GET http://u:p@h:81/a?b HTTP/1.1\r\nProxy-Connection: x\r\nA: b\r\nHost: other\r\nproxy-authorization: y\r\n\r\n",
			5, -1, "", Form{Kind: OriginForm, ProxyAuthorization: "z"},
			"GET /a?b HTTP/1.1\r\nA: b\r\nHost: h:81\r\nRange: bytes=5-\r\n\r\n"},
		{"proxy to server, Host right", "GET http://h HTTP/1.0\r\nhost:h\r\n\r\n", -1, 0, "", Form{Kind: OriginForm},
			"GET / HTTP/1.0\r\nhost:h\r\n\r\n"},
		{"proxy to server, no Host, no path", "GET http://h?q HTTP/1.0\r\nA: b\r\n\r\n", -1, 0, "", Form{Kind: OriginForm},
			"GET /?q HTTP/1.0\r\nHost: h\r\nA: b\r\n\r\n"},
		{"server to server", "GET /a HTTP/1.1\r\nHost: h\r\n\r\n", -1, 0, "", Form{Kind: OriginForm},
			"GET /a HTTP/1.1\r\nHost: h\r\n\r\n"},

		{"server to proxy", "GET /a?b HTTP/1.1\r\nHost: h:81\r\n\r\n", 5, -1, "", Form{Kind: AbsoluteForm, ProxyAuthorization: "Basic z"},
			"GET http://h:81/a?b HTTP/1.1\r\nHost: h:81\r\nProxy-Authorization: Basic z\r\nRange: bytes=5-\r\n\r\n"},
		{"server to proxy, HTTP/1.0", "GET /a HTTP/1.0\r\n\r\n", -1, 0, "", Form{Kind: AbsoluteForm, Host: "[fd77::1]:8"},
			"GET http://[fd77::1]:8/a HTTP/1.0\r\n\r\n"},
		{"proxy to proxy", "GET http://h/a HTTP/1.1\r\nProxy-Authorization: old\r\nA: b\r\n\r\n", -1, 0, "", Form{Kind: AbsoluteForm, ProxyAuthorization: "new"},
			"GET http://h/a HTTP/1.1\r\nProxy-Authorization: new\r\nA: b\r\n\r\n"},
		{"proxy to open proxy", "GET http://h/a HTTP/1.1\r\nProxy-Authorization: old\r\nA: b\r\n\r\n", -1, 0, "", Form{Kind: AbsoluteForm},
			"GET http://h/a HTTP/1.1\r\nA: b\r\n\r\n"},
	} {
		req, err := ParseRequest([]byte(c.head))
		if err != nil {
			t.Fatal(err)
		}
		if got := string(ResumeRequest(req, c.first, c.last, c.ifRange, c.form)); got != c.want {
			t.Errorf("%s:\n got %q\nwant %q", c.name, got, c.want)
		}
	}
}

func TestResumeRequestRefusesWhatCannotBeWritten(t *testing.T) {
	noHost := mustRequest(t, "GET /a HTTP/1.0")
	star := mustRequest(t, "GET * HTTP/1.1", "Host: h")
	for name, got := range map[string][]byte{
		"no host for a proxy":     ResumeRequest(noHost, 0, -1, "", Form{Kind: AbsoluteForm}),
		"line break in If-Range":  ResumeRequest(noHost, 0, -1, "\"a\"\r\nX: y", Form{}),
		"line break in the proxy": ResumeRequest(noHost, 0, -1, "", Form{Kind: AbsoluteForm, Host: "h", ProxyAuthorization: "a\nb"}),
		"line break in the host":  ResumeRequest(noHost, 0, -1, "", Form{Kind: AbsoluteForm, Host: "h\r\n"}),
		"last before first":       ResumeRequest(noHost, 5, 4, "", Form{}),
		"asterisk-form":           ResumeRequest(star, 5, -1, "", Form{Kind: OriginForm}),
	} {
		if got != nil {
			t.Errorf("%s: %q", name, got)
		}
	}
}

func FuzzResumeRequest(f *testing.F) {
	f.Add([]byte{0, 0, 6}, "x", int64(5), int64(-1), true, byte(0))
	f.Add([]byte{7, 7, 17, 25, 3}, "bytes=0-1", int64(0), int64(9), false, byte(1))
	f.Add([]byte{2, 12, 0, 14, 20, 22, 28}, "[::1]:8", int64(-1), int64(0), true, byte(2))
	f.Fuzz(func(t *testing.T, choice []byte, text string, first, last int64, validator bool, kind byte) {
		head := composeHead(requestLines, requestFields, choice, text)
		req, err := ParseRequest(head)
		if err != nil || len(head) > MaxHead/2 || len(req.Fields) > MaxFields-4 {
			return
		}
		form := Form{Kind: FormKind(kind % 3), Host: "fallback", ProxyAuthorization: "Basic z"}
		ifRange := ""
		if validator {
			ifRange = `"e"`
		}
		out := ResumeRequest(req, first, last, ifRange, form)
		if out == nil {
			if movable, _ := req.Movable(); movable && (first < 0 || last < 0 || first <= last) {
				t.Fatal("a movable request was refused")
			}
			return
		}
		again, err := ParseRequest(out)
		if err != nil {
			t.Fatalf("%q does not parse: %v", out, err)
		}
		offers := req.offersUpgrade()
		if again.offersUpgrade() || offers && (again.HasToken("Connection", "Upgrade") || again.HasToken("Connection", "HTTP2-Settings")) {
			t.Errorf("it still offers another protocol: %q", out)
		}
		if first < 0 && form.Kind == AsIs && !offers && !bytes.Equal(out, head) {
			t.Errorf("plain repetition differs: %q", out)
		}
		if first >= 0 {
			g, present, err := again.Range()
			if want := (Range{First: first, Last: max(last, -1)}); g != want || !present || err != nil {
				t.Errorf("asked for %+v, reads %+v %v %v", want, g, present, err)
			}
			if got := again.Get("If-Range"); got != ifRange {
				t.Errorf("If-Range %q", got)
			}
		}
		kept := func(r *Request) (raw string) {
			for _, field := range r.Fields {
				switch {
				case first >= 0 && (field.Is("Range") || field.Is("If-Range")):
				case form.Kind != AsIs && strings.HasPrefix(strings.ToLower(field.Name), "proxy-"):
				case form.Kind == OriginForm && field.Is("Host"):
				case isUpgradeOffer(field.Name), offers && field.Is("Connection"):
				default:
					raw += field.Raw
				}
			}
			return raw
		}
		if kept(again) != kept(req) {
			t.Errorf("other fields changed:\n%q\n%q", head, out)
		}
		if again.Method != req.Method || again.Minor != req.Minor || form.Kind == AsIs && again.Target != req.Target {
			t.Errorf("request line changed: %q", out)
		}
		if form.Kind == OriginForm {
			host, port := req.Host()
			if h, p := again.Host(); h != host || p != port {
				t.Errorf("host %s:%s became %s:%s", host, port, h, p)
			}
		}
	})
}
