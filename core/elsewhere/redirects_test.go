package elsewhere

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"midstream/core/http1"
)

func answers(t testing.TB, status int, fields string) *http1.Response {
	r, err := http1.ParseResponse(fmt.Appendf(nil, "HTTP/1.1 %d x\r\n%s\r\n", status, fields))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestWhereAProgramHasBeenRedirected(t *testing.T) {
	var r Redirects
	for _, x := range []struct {
		from   string
		status int
		fields string
	}{
		{"http://a.example/latest", 302, "Location: http://B.example:80/v1\r\nLink: <http://m.example/v1>; rel=duplicate, </v1.meta4>; rel=describedby; type=\"application/metalink4+xml\"\r\n"},
		{"http://b.example/v1", 307, "Location: //node7.example/v1?sig=1#x\r\n"},
		{"https://a.example/s", 303, "Location: https://b.example:443/s\r\n"},
		{"http://a.example/up", 308, "Location: https://b.example/up\r\n"},
		{"https://b.example/up", 302, "Location: https://c.example/up\r\n"},
		{"https://a.example/down", 301, "Location: http://b.example/down\r\n"},
		{"http://a.example/folder/x", 302, "Location: y\r\n"},
		{"http://a.example/loop", 302, "Location: /loop\r\n"},
		{"http://a.example/no", 200, "Location: /yes\r\n"},
		{"http://a.example/cached", 304, "Location: /yes\r\n"},
		{"http://a.example/none", 302, ""},
		{"http://a.example/secret", 302, "Location: http://me:secret@b.example/secret\r\n"},
		{"http://a.example/ftp", 302, "Location: ftp://b.example/x\r\n"},
		{"http://a.example/moved", 302, "Location: /old\r\n"},
		{"http://a.example/moved", 302, "Location: /new\r\n"},
	} {
		r.Add(x.from, answers(t, x.status, x.fields))
	}
	for to, want := range map[string]string{
		"http://b.example/v1":              "http://a.example/latest",
		"HTTP://node7.example/v1?sig=1":    "http://a.example/latest",
		"http://node7.example/v1":          "",
		"https://b.example/s":              "https://a.example/s",
		"https://b.example/up":             "",
		"https://c.example/up":             "https://b.example/up",
		"http://b.example/down":            "",
		"http://a.example/folder/y":        "http://a.example/folder/x",
		"http://a.example/loop":            "",
		"http://a.example/yes":             "",
		"http://b.example/secret":          "",
		"http://a.example/old":             "",
		"http://a.example/new":             "http://a.example/moved",
		"":                                 "",
		"http://me:secret@b.example/v1":    "",
		"http://b.example/v1/../v1":        "",
		"http://b.example.evil.example/v1": "",
	} {
		if got := r.Of(to).URL; got != want {
			t.Errorf("%q: %q, want %q", to, got, want)
		}
	}
	if from := r.Of("http://node7.example/v1?sig=1"); !slices.Equal(from.Named, []string{"http://m.example/v1"}) || from.Described != "http://a.example/v1.meta4" {
		t.Errorf("%+v", from)
	}
	// Round and round.
	r.Add("http://x.example/1", answers(t, 302, "Location: /2\r\n"))
	r.Add("http://x.example/2", answers(t, 302, "Location: /1\r\n"))
	if got := r.Of("http://x.example/1"); got.URL != "http://x.example/1" && got.URL != "http://x.example/2" {
		t.Errorf("%+v", got)
	}
	// Only the last ones are remembered.
	for i := range 3 * maxRedirects {
		r.Add(fmt.Sprintf("http://y.example/%d", i), answers(t, 302, fmt.Sprintf("Location: http://z.example/%d\r\n", i)))
	}
	first, last := r.Of("http://b.example/v1").URL, r.Of(fmt.Sprintf("http://z.example/%d", 3*maxRedirects-1)).URL
	if first != "" || last == "" || len(r.all) != maxRedirects {
		t.Errorf("%q, %q, %d", first, last, len(r.all))
	}
}

func TestPlacesInTheirOrder(t *testing.T) {
	var r Redirects
	r.Add("http://a.example/x", answers(t, 302, "Location: http://own.example/x\r\nLink: <http://c.example/x>; rel=duplicate\r\n"))
	m := Map{{"http://own.example/", []string{"http://m.example/"}}}
	got := Places(m, &r, "http://own.example/x", answers(t, 200, "Link: <http://b.example/x>; rel=duplicate\r\n"))
	want := []Place{{URL: "http://m.example/x"}, {URL: "http://a.example/x", Redirects: true}, {URL: "http://b.example/x", ByServer: true}, {URL: "http://c.example/x", ByServer: true}}
	if !slices.Equal(got, want) {
		t.Errorf("%+v", got)
	}
}

// Whatever is sent, nothing but http and https URLs without credentials are remembered.
func FuzzRedirects(f *testing.F) {
	f.Add("http://a.example/x", "http://b.example/x")
	f.Add("http://a.example/x", "//b:80@c/..//x?y#z")
	f.Fuzz(func(t *testing.T, from, location string) {
		if strings.ContainsAny(location, "\r\n\x00") {
			return
		}
		answer, err := http1.ParseResponse([]byte("HTTP/1.1 302 x\r\nLocation: " + location + "\r\n\r\n"))
		if err != nil {
			return
		}
		var r Redirects
		r.Add(from, answer)
		for _, one := range r.all {
			for _, u := range []string{one.from, one.to} {
				_, rest, _ := strings.Cut(u, "://")
				if !strings.HasPrefix(u, "http") || strings.Contains(strings.SplitN(rest, "/", 2)[0], "@") || strings.ContainsAny(u, " \r\n#") {
					t.Errorf("%q", u)
				}
			}
		}
	})
}
