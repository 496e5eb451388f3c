package elsewhere

import (
	"slices"
	"strings"
	"testing"

	"midstream/core/http1"
)

func TestWhereAFolderIsMirrored(t *testing.T) {
	m := Map{
		{"http://deb.example/debian/", []string{"http://a.example/debian/", "http://b.example:8080/linux/debian/"}},
		{"http://deb.example/", []string{"http://c.example/"}},
	}
	for from, want := range map[string][]string{
		"http://deb.example/debian/pool/x.deb": {"http://a.example/debian/pool/x.deb", "http://b.example:8080/linux/debian/pool/x.deb", "http://c.example/debian/pool/x.deb"},
		"HTTP://DEB.example:80/debian/x":       {"http://a.example/debian/x", "http://b.example:8080/linux/debian/x", "http://c.example/debian/x"},
		"http://deb.example/other":             {"http://c.example/other"},
		"http://deb.example/debian/x?token=1":  nil,
		"http://deb.example/debian/../secret":  nil,
		"http://deb.example.evil/debian/x":     nil,
		"http://deb.example:81/debian/x":       nil,
		"https://deb.example/debian/x":         nil,
		"":                                     nil,
	} {
		if got := m.Of(from); !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", from, got, want)
		}
	}
}

func response(t testing.TB, fields string) *http1.Response {
	r, err := http1.ParseResponse([]byte("HTTP/1.1 200 OK\r\n" + fields + "\r\n"))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestDuplicatesThatAServerNames(t *testing.T) {
	const from = "http://own.example/x"
	for fields, want := range map[string][]string{
		"Link: <http://a.example/x>; rel=duplicate; pri=1; geo=de, <http://b.example/x>; rel=\"duplicate\"\r\n": {"http://a.example/x", "http://b.example/x"},
		"Link: <http://a.example/x>; rel=\"next duplicate\"\r\nLink: <http://b.example/y>;REL=Duplicate\r\n":    {"http://a.example/x", "http://b.example/y"},
		"Link: <http://a.example/x>; rel=describedby; rel=duplicate\r\n":                                        nil,
		"Link: <http://a.example/x.meta4>; rel=describedby; type=\"application/metalink4+xml\"\r\n":             nil,
		"Link: <http://a.example/x>; title=\"a, b; rel=duplicate\"; rel=next\r\n":                               nil,
		"Link: <https://a.example/x>; rel=duplicate\r\n":                                                        nil,
		"Link: <http://me:secret@a.example/x>; rel=duplicate\r\n":                                               nil,
		"Link: <http://own.example/y>; rel=duplicate\r\n":                                                       nil,
		"Link: </y>; rel=duplicate\r\n":                                                                         nil,
		"Link: <http://a.example/x\r\n":                                                                         nil,
		"Link: nonsense\r\n":                                                                                    nil,
	} {
		if got := Duplicates(from, response(t, fields)); !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", fields, got, want)
		}
	}
	for fields, want := range map[string]string{
		"Link: <http://a.example/x.meta4>; rel=describedby; type=\"application/metalink4+xml\"\r\n": "http://a.example/x.meta4",
		"Link: <x.meta4>; type=\"application/metalink4+xml\"; rel=\"describedby\"\r\n":              "http://own.example/x.meta4",
		"Link: <x.html>; rel=describedby; type=\"text/html\"\r\n":                                   "",
		"Link: <https://own.example/x.meta4>; rel=describedby; type=application/metalink4+xml\r\n":  "",
		"Link: <//me:x@a.example/x>; rel=describedby; type=application/metalink4+xml\r\n":           "",
	} {
		if got := Description(from, response(t, fields)); got != want {
			t.Errorf("%q: %q, want %q", fields, got, want)
		}
	}
	many := strings.Repeat("Link: <http://a.example/x>; rel=duplicate\r\n", 3)
	for i := range 20 {
		many += "Link: <http://a.example/" + string(rune('a'+i)) + ">; rel=duplicate\r\n"
	}
	if got := Duplicates(from, response(t, many)); len(got) != most || got[1] != "http://a.example/a" {
		t.Errorf("%q", got)
	}
}

// Whatever a server says, only http URLs of other hosts, without credentials, come of it.
func FuzzDuplicates(f *testing.F) {
	f.Add("<http://a.example/x>; rel=duplicate, <http://b.example/x>; rel=\"dupl\\icate\"; pri=2")
	f.Add("<http://a@b/>;rel=duplicate;,<>;;\"")
	f.Fuzz(func(t *testing.T, value string) {
		if strings.ContainsAny(value, "\r\n\x00") {
			return
		}
		r, err := http1.ParseResponse([]byte("HTTP/1.1 200 OK\r\nLink: " + value + "\r\n\r\n"))
		if err != nil {
			return
		}
		for _, to := range Duplicates("http://own.example/x", r) {
			if !strings.EqualFold(to[:7], "http://") || strings.Contains(strings.SplitN(to[7:], "/", 2)[0], "@") || strings.ContainsAny(to, " \r\n") {
				t.Errorf("%q: %q", value, to)
			}
		}
	})
}
