package http1

import (
	"strings"
	"testing"
)

// Nothing that is for its own server goes with a request to another one.
func TestARequestElsewhereTakesNoSecrets(t *testing.T) {
	r, err := ParseRequest([]byte("GET /x?token=1 HTTP/1.1\r\nHost: own.example\r\nUser-Agent: apt\r\nAuthorization: Basic c2VjcmV0\r\nCookie: a=b\r\n" +
		"X-Api-Key: secret\r\nReferer: http://own.example/secret\r\nAccept: */*\r\nRange: bytes=5-\r\nIf-Range: \"secret\"\r\nProxy-Authorization: x\r\n\r\n"))
	if err != nil {
		t.Fatal(err)
	}
	to, err := r.Elsewhere("http://mirror.example:8080/y/x")
	if err != nil {
		t.Fatal(err)
	}
	got := string(ResumeRequest(to, 7, -1, "", Form{Kind: OriginForm}))
	if want := "GET /y/x HTTP/1.1\r\nHost: mirror.example:8080\r\nUser-Agent: apt\r\nAccept: */*\r\nRange: bytes=7-\r\n\r\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	for _, url := range []string{"", "/x", "https://", "http://", "http://a b/x", "http://a/x\r\nX: y", "ftp://a/x", "http://a:b:c/x"} {
		if to, err := r.Elsewhere(url); err == nil {
			t.Errorf("%q: %q", url, to.Target)
		}
	}
	if to, err := r.Elsewhere("http://a.example"); err != nil || !strings.HasSuffix(to.Target, "/") {
		t.Errorf("%v, %v", to, err)
	}
}
