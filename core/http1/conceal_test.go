package http1

import (
	"bytes"
	"strings"
	"testing"
)

func TestConcealedHeadsAreRevealed(t *testing.T) {
	head := "GET /file HTTP/1.1\r\nHost: a.example\r\ncookie: a=1; b=2\r\nAuthorization:  Basic c2VjcmV0\r\n" +
		"Proxy-Authorization: Basic bWluZQ==\r\nCookie: c=3\r\nX-Cookie: d=4\r\n\r\n"
	c := Conceal([]byte(head))
	for _, secret := range []string{"a=1", "b=2", "c2VjcmV0", "bWluZQ", "c=3"} {
		if bytes.Contains(c, []byte(secret)) {
			t.Errorf("%q is in %q", secret, c)
		}
	}
	for _, kept := range []string{"Authorization:  Basic ", "X-Cookie: d=4"} {
		if !bytes.Contains(c, []byte(kept)) {
			t.Errorf("no %q in %q", kept, c)
		}
	}
	request, err := ParseRequest(c)
	if err != nil {
		t.Fatal(err)
	}
	for name, form := range map[string]Form{"as it is": {}, "to the server": {Kind: OriginForm}, "to a proxy": {Kind: AbsoluteForm, ProxyAuthorization: "Basic b3du"}} {
		plain, err := ParseRequest([]byte(head))
		if err != nil {
			t.Fatal(err)
		}
		want := ResumeRequest(plain, 100, -1, `"tag"`, form)
		got := ResumeRequest(request, 100, -1, `"tag"`, form)
		Reveal(got, []byte(head))
		if !bytes.Equal(got, want) {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

// What authenticates is not always written as it should be.
func TestSecretsAreConcealedInAnyForm(t *testing.T) {
	for head, want := range map[string]string{
		"Authorization: c2VjcmV0\r\n":                 "Authorization: ********\r\n",
		"Authorization: Basic\tc2VjcmV0\r\n":          "Authorization: Basic\t********\r\n",
		"Authorization:\r\n Basic c2Vj\r\n\tcmV0\r\n": "Authorization:\r\n Basic ****\r\n\t****\r\n",
		"Cookie: a=1;\n b=2\nX: y\n z\n":              "Cookie: ****\n ***\nX: y\n z\n",
		"Cookie : a=1\n":                              "Cookie : ***\n",
		"Authorization: Negotiate\r\n":                "Authorization: Negotiate\r\n",
		"Proxy-Authorization: NTLM\tabc\r\n":          "Proxy-Authorization: NTLM\t***\r\n",
	} {
		got := Conceal([]byte(head))
		if string(got) != want {
			t.Errorf("%q has become %q, want %q", head, got, want)
		}
		if Reveal(got, []byte(head)); string(got) != head {
			t.Errorf("%q is revealed as %q", head, got)
		}
	}
}

func FuzzConceal(f *testing.F) {
	f.Add([]byte("GET / HTTP/1.1\r\nCookie: a\r\nAuthorization: Basic x\r\n\r\n"))
	f.Add([]byte("Cookie: a\n b\n\tc\nAuthorization:\n\n Basic x\n"))
	f.Add([]byte("Cookie:*\nCookie: \t\r\nAuthorization:\n"))
	f.Fuzz(func(t *testing.T, head []byte) {
		c := Conceal(head)
		if len(c) != len(head) {
			t.Fatalf("%q has become %q", head, c)
		}
		Reveal(c, head)
		if !bytes.Equal(c, head) && !strings.Contains(string(head), "*") {
			t.Fatalf("%q has become %q", head, c)
		}
	})
}
