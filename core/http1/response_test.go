package http1

import (
	"errors"
	"math"
	"strings"
	"testing"
)

func mustResponse(t testing.TB, lines ...string) *Response {
	t.Helper()
	r, err := ParseResponse([]byte(strings.Join(lines, "\r\n") + "\r\n\r\n"))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestStatusLine(t *testing.T) {
	for line, want := range map[string]Response{
		"HTTP/1.1 200 OK":                {Status: 200, Minor: 1, Reason: "OK"},
		"HTTP/1.0 404 Not  Found \xe4":   {Status: 404, Minor: 0, Reason: "Not  Found \xe4"},
		"HTTP/1.1 206 ":                  {Status: 206, Minor: 1},
		"HTTP/1.1 206":                   {Status: 206, Minor: 1},
		"ICY 200 OK":                     {Status: 200, Reason: "OK"},
		"HTTP/1.1 103 Early Hints, soon": {Status: 103, Minor: 1, Reason: "Early Hints, soon"},
	} {
		got := mustResponse(t, line)
		if got.Status != want.Status || got.Minor != want.Minor || got.Reason != want.Reason {
			t.Errorf("%q: %+v", line, got)
		}
	}
	for _, line := range []string{"", "HTTP/1.1", "HTTP/1.1 20 OK", "HTTP/1.1 0200", "HTTP/1.1 099", "HTTP/1.1 +20",
		"HTTP/1.1  200", "ICY 404 Not Found", "icy 200 OK", "HTTP/2 200", "HTTP/1.10 200", "HTTP/1.1 200\tOK", "HTTP/1.1 2a0"} {
		if _, err := ParseResponse([]byte(line + "\r\n\r\n")); !errors.Is(err, ErrMalformed) {
			t.Errorf("%q: %v", line, err)
		}
	}
}

func TestPersistence(t *testing.T) {
	for head, want := range map[string]bool{
		"HTTP/1.1 200 OK":                                  true,
		"HTTP/1.1 200 OK\r\nConnection: x, Close":          false,
		"HTTP/1.0 200 OK":                                  false,
		"HTTP/1.0 200 OK\r\nConnection: keep-alive":        true,
		"HTTP/1.0 200 OK\r\nConnection: Keep-Alive, close": false,
	} {
		if got := mustResponse(t, head).Persistent(); got != want {
			t.Errorf("%q: %v", head, got)
		}
	}
}

func TestInterimResponses(t *testing.T) {
	for status, want := range map[string]bool{"100": true, "103": true, "101": false, "200": false} {
		if mustResponse(t, "HTTP/1.1 "+status).Interim() != want {
			t.Errorf("%s is not %v", status, want)
		}
	}
}

func TestContentRange(t *testing.T) {
	for value, want := range map[string]ContentRange{
		"bytes 0-4/10":  {0, 4, 10},
		"Bytes 9-9/10":  {9, 9, 10},
		"bytes 5-9/*":   {5, 9, -1},
		"bytes */10":    {-1, -1, 10},
		"bytes */0":     {-1, -1, 0},
		"bytes  0-4/10": {0, 4, 10},
		"bytes 0-9223372036854775806/9223372036854775807": {0, math.MaxInt64 - 1, math.MaxInt64},
	} {
		got, present, err := mustResponse(t, "HTTP/1.1 206", "Content-Range: "+value).ContentRange()
		if got != want || !present || err != nil {
			t.Errorf("%q: %+v %v %v", value, got, present, err)
		}
	}
	for _, value := range []string{"", "bytes", "bytes 5-4/10", "bytes 0-10/10", "bytes 0-4", "bytes 0-4/", "bytes */*", "bytes 4/10",
		"bytes -4/10", "bytes 0-/10", "bytes=0-4/10", "seconds 0-4/10", "bytes 0-4/99999999999999999999", "bytes 0 - 4/10",
		"bytes 0-4/10, bytes 0-4/10", "bytes 0-4/10\r\nContent-Range: bytes 0-5/10"} {
		_, present, err := mustResponse(t, "HTTP/1.1 206", "Content-Range: "+value).ContentRange()
		if !present || !errors.Is(err, ErrContentRange) {
			t.Errorf("%q: %v %v", value, present, err)
		}
	}
	if _, present, err := mustResponse(t, "HTTP/1.1 206").ContentRange(); present || err != nil {
		t.Error("absent field is present")
	}
	if n := (ContentRange{5, 9, -1}).Length(); n != 5 {
		t.Errorf("length %d", n)
	}
	if c := (ContentRange{-1, -1, 9}); c.Length() != 0 || !c.Unsatisfied() {
		t.Error("unsatisfied range has a length")
	}
}

func FuzzParseResponse(f *testing.F) {
	for _, s := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nETag: \"a\"\r\n\r\n",
		"HTTP/1.1 206\nContent-Range: bytes 0-4/*\nTransfer-Encoding: gzip, chunked\n\n",
		"HTTP/1.0 200 \r\nLast-Modified: Sun Nov  6 08:49:37 1994\r\nDate: Sunday, 06-Nov-94 08:49:39 GMT\r\n\r\n",
	} {
		f.Add([]byte(s), []byte{4, 12, 22, 30, 36}, "x")
	}
	f.Fuzz(func(t *testing.T, head, choice []byte, text string) {
		checkResponse(t, head)
		checkResponse(t, composeHead(statusLines, responseFields, choice, text))
	})
}

func checkResponse(t *testing.T, head []byte) {
	r, err := ParseResponse(head)
	if err != nil {
		return
	}
	if framing, err := r.Framing("GET"); err == nil && (framing.Length < 0 || framing.Length > 0 && framing.Kind != Length) {
		t.Errorf("framing %+v", framing)
	}
	if c, present, err := r.ContentRange(); present && err == nil && !c.Unsatisfied() &&
		(c.Last < c.First || c.Total >= 0 && c.Total <= c.Last) {
		t.Errorf("content range %+v", c)
	}
	v := r.Validators()
	if v.EqualStrong(v) != v.Strong() || v.Contradicts(v) {
		t.Errorf("%+v does not equal itself", v)
	}
	if v.Strong() && !validValue(v.IfRange()) {
		t.Errorf("If-Range %q", v.IfRange())
	}
}
