package resume

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"midstream/core/dial/dialtest"
	"midstream/core/http1"
	"midstream/core/metalink"
)

// described is what a server says of the content, in pieces of that length.
func described(length int) string {
	var b strings.Builder
	fmt.Fprintf(&b, `<metalink xmlns="urn:ietf:params:xml:ns:metalink"><file name="film"><size>%d</size><pieces length="%d" type="sha-256">`, len(content), length)
	for piece := range slices.Chunk(content, length) {
		fmt.Fprintf(&b, "<hash>%x</hash>", sha256.Sum256(piece))
	}
	return b.String() + "</pieces><url>http://a.example/film</url></file></metalink>"
}

// What describes the content is fetched once, whatever comes of it.
func TestADescriptionIsFetched(t *testing.T) {
	for name, c := range map[string]struct {
		answer string
		is     bool
	}{
		"there":     {"HTTP/1.1 200 OK\r\n\r\n" + described(1<<16), true},
		"not":       {"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", false},
		"a page":    {"HTTP/1.1 200 OK\r\n\r\n<html>", false},
		"elsewhere": {"HTTP/1.1 302 Found\r\nLocation: http://a.example/\r\nContent-Length: 0\r\n\r\n", false},
	} {
		h := asks(t, 100_000, 0)
		fetched := 0
		for range 3 {
			h.DescribeOnce(func() {
				fetched++
				err := h.Describe(t.Context(), dialtest.Connect(t, speak(t, c.answer, "")), h.Request, Destination{})
				if (err == nil) != c.is {
					t.Errorf("%s: %v", name, err)
				}
			})
		}
		if (h.Pieces() != nil) != c.is || c.is && fetched != 1 || fetched > maxDescribe {
			t.Errorf("%s: fetched %d times", name, fetched)
		}
	}
}

// Where pieces are known, the date of another URL's content does not matter, and nothing of a piece that is another one is handed on.
func TestPiecesProveAnotherURLsContent(t *testing.T) {
	const own, their = `"a"` + "\r\nLast-Modified: Fri, 01 Mar 2024 12:00:00 GMT", `"b"` + "\r\nLast-Modified: Sat, 02 Mar 2024 12:00:00 GMT"
	file, err := metalink.Parse(strings.NewReader(described(1<<16)), "film", int64(len(content)))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		wrong  int // octet, -1 none
		ranges bool
		has    int // octets that are handed on; -1: it is refused
	}{
		"the same":                      {-1, true, len(content) - 100_000},
		"another octet later":           {200_000, true, 3<<16 - 100_000},
		"another one before the place":  {70_000, true, -1},
		"behind it, in the same piece":  {110_000, true, -1},
		"all of it, whatever was asked": {-1, false, len(content) - 100_000},
	} {
		t.Run(name, func(t *testing.T) {
			theirs := bytes.Clone(content)
			if c.wrong >= 0 {
				theirs[c.wrong]++
			}
			h, conn := asks(t, 100_000, 1<<20), dialtest.Connect(t, serve(t, their, theirs, c.ranges))
			response, err := http1.ParseResponse(fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nETag: %s\r\nContent-Length: %d\r\n\r\n", own, len(content)))
			if err != nil {
				t.Fatal(err)
			}
			h.Response, h.Validators = response, response.Validators()
			h.description.file = file
			request, err := h.Request.Elsewhere("http://mirror.test/film")
			if err != nil {
				t.Fatal(err)
			}
			q := Question{Request: request, To: Destination{Form: http1.Form{Kind: http1.OriginForm}}, At: 100_000, Overlap: OverlapFull,
				Exact: true, Moved: true, Foreign: true, Brings: true, Pieces: h.Pieces()}
			q.To.Elsewhere.URL = "http://mirror.test/film"
			r, err := h.Ask(t.Context(), conn, q)
			if (err != nil) != (c.has < 0) {
				t.Fatal(err)
			}
			if err == nil {
				var got bytes.Buffer
				_, err := io.CopyN(&got, r.Content, r.Left)
				if got.Len() != c.has || !bytes.HasPrefix(content[100_000:], got.Bytes()) || errors.Is(err, metalink.ErrPiece) != (c.wrong >= 0) {
					t.Errorf("%d octets, %v", got.Len(), err)
				}
			}
			if h.Distrusted(q.To.Elsewhere.URL) != (c.wrong >= 0) {
				t.Error("whether it is to be asked again")
			}
		})
	}
}
