package matrix

import (
	"bytes"
	"compress/gzip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"midstream/e2e/lab"
)

// The program's own Range, in all its forms, with and without its own If-Range.
func TestTheProgramsOwnRangeContinues(t *testing.T) { both(t, testOwnRange) }

func testOwnRange(t *testing.T, over transport) {
	body := content(300_000)
	for name, c := range map[string]struct {
		args    []string
		want    []byte
		old     script
		next    script
		refused string
	}{
		"open":           {args: []string{"-r", "1000-"}, want: body[1000:]},
		"closed":         {args: []string{"-r", "1000-250999"}, want: body[1000:251_000]},
		"suffix":         {args: []string{"-r", "-250000"}, want: body[50_000:]},
		"all":            {args: []string{"-H", "Range: bytes=0-"}, want: body},
		"beyond the end": {args: []string{"-r", "1000-999999"}, want: body[1000:]},
		"If-Range, ETag": {args: []string{"-r", "1000-", "-H", "If-Range: " + strong}, want: body[1000:]},
		"If-Range, date": {args: []string{"-r", "1000-", "-H", "If-Range: " + modified}, want: body[1000:], old: script{etag: "-"}, next: script{etag: "-"}},
		"closed, chunked": {args: []string{"-r", "1000-250999"}, want: body[1000:251_000],
			old: script{framing: "chunked"}},
		"closed, to chunks":  {args: []string{"-r", "1000-250999"}, want: body[1000:251_000], next: script{framing: "chunked"}},
		"closed, to a 200":   {args: []string{"-r", "1000-250999"}, want: body[1000:251_000], next: script{etag: "ignores"}},
		"suffix, to a 200":   {args: []string{"-r", "-250000"}, want: body[50_000:], next: script{etag: "ignores"}},
		"suffix, other ETag": {args: []string{"-r", "-250000"}, want: body[50_000:], next: script{etag: `"v2"`}},
		"closed, close":      {args: []string{"-r", "1000-250999"}, want: body[1000:251_000], old: script{framing: "close"}, next: script{framing: "close"}},
		"ignored by both":    {args: []string{"-r", "1000-"}, want: body, old: script{etag: "ignores"}, next: script{etag: "ignores"}},
		"ignored by the old": {args: []string{"-r", "1000-"}, want: body, old: script{etag: "ignores"}},
		"several":            {args: []string{"-r", "1000-2000,5000-6000"}, want: body, old: script{etag: "ignores"}, refused: "several ranges"},
	} {
		t.Run(name, func(t *testing.T) {
			l := lab.New(t)
			named(l)
			for _, s := range []*script{&c.old, &c.next} {
				s.body, s.modified, s.ranges, s.over = body, modified, true, over
				switch s.etag {
				case "ignores":
					s.ranges, s.etag = false, strong
				case "":
					s.etag = strong
				case "-":
					s.etag = ""
				}
			}
			c.old.hold, c.next.hold = 150_000, -1
			first := serve(t, l.Networks()[0], c.old)
			serve(t, l.Networks()[1], c.next)
			d := start(t, l, over.curl(c.args...)...)
			<-first.held
			d.reads("half of the file", func(s lab.Session) bool { return s.Received > 100_000 })
			if c.refused != "" {
				moved, err := d.control.Migrate(l.Networks()[1].Name)
				if err != nil || len(moved) != 1 || moved[0].OK || !strings.Contains(moved[0].Reason, c.refused) {
					t.Errorf("%+v, %v; want a refusal because of %q", moved, err, c.refused)
				}
				first.release()
			} else {
				d.moveOrEnd(l.Networks()[1].Name)
			}
			d.ends(c.want)
		})
	}
}

// Downloads that go on where an earlier one had ended.
func TestContinuedDownloadsMove(t *testing.T) { both(t, testContinued) }

func testContinued(t *testing.T, over transport) {
	body := content(300_000)
	for name, args := range map[string][]string{
		"curl": over.curl("-C", "-"),
		"wget": over.wget("-c"),
	} {
		t.Run(name, func(t *testing.T) {
			l := lab.New(t)
			named(l)
			s := script{body: body, etag: strong, modified: modified, ranges: true, hold: 150_000, over: over}
			first := serve(t, l.Networks()[0], s)
			s.hold = -1
			serve(t, l.Networks()[1], s)
			out := filepath.Join(l.Dir, "part")
			if err := os.WriteFile(out, body[:1000], 0o644); err != nil {
				t.Fatal(err)
			}
			d := start(t, l, placed(args, out)...)
			d.out = out
			<-first.held
			d.reads("half of the file", func(s lab.Session) bool { return s.Received > 100_000 })
			d.moveOrEnd(l.Networks()[1].Name)
			d.ends(body)
		})
	}
}

// Where the program has all octets, but not the end of the framing, a 416 of the new server says that there are no more.
func TestTheEndIsRecognised(t *testing.T) { both(t, testTheEnd) }

func testTheEnd(t *testing.T, over transport) {
	body := content(200_000)
	for name, old := range map[string]script{
		"chunked": {framing: "chunked"},
		"close":   {framing: "close"},
	} {
		t.Run(name, func(t *testing.T) {
			l := lab.New(t)
			named(l)
			old.body, old.etag, old.modified, old.over = body, strong, modified, over
			old.hold = old.wireLength()
			if old.framing == "chunked" {
				old.hold -= 5
			}
			first := serve(t, l.Networks()[0], old)
			serve(t, l.Networks()[1], script{body: body, etag: strong, modified: modified, ranges: true, hold: -1, over: over})
			d := start(t, l, over.curl()...)
			<-first.held
			d.reads("all of the file", func(s lab.Session) bool { return s.Received == int64(len(body)) })
			d.moveOrEnd(l.Networks()[1].Name)
			d.ends(body)
		})
	}
}

// Content codings stay as they are: what is moved are the coded octets.
func TestCodedContentMoves(t *testing.T) { both(t, testCoded) }

func testCoded(t *testing.T, over transport) {
	plain := append(bytes.Repeat([]byte("Midstream keeps a running download alive. "), 20_000), content(200_000)...)
	l := lab.New(t)
	named(l)
	var gzipped bytes.Buffer
	w := gzip.NewWriter(&gzipped)
	w.Write(plain)
	w.Close()
	for coding, coded := range map[string][]byte{"gzip": gzipped.Bytes(), "br": brotli(plain), "zstd": zstandard(plain)} {
		for _, framing := range []string{"length", "chunked"} {
			t.Run(coding+", "+framing, func(t *testing.T) {
				s := script{body: coded, etag: strong, modified: modified, ranges: true, hold: 150_000, fields: "Content-Encoding: " + coding + "\r\n", framing: framing, over: over}
				first := serve(t, l.Networks()[0], s)
				s.hold = -1
				second := serve(t, l.Networks()[1], s)
				d := start(t, l, over.curl("--compressed")...)
				first.awaits(t, d.program)
				d.reads("half of the file", func(s lab.Session) bool { return s.Received > 100_000 })
				d.moveOrEnd(l.Networks()[1].Name)
				d.ends(plain)
				for _, r := range append(first.requests(), second.requests()...) {
					if !strings.Contains(r.Header.Get("Accept-Encoding"), coding) {
						t.Errorf("a server was asked with Accept-Encoding %q", r.Header.Get("Accept-Encoding"))
					}
				}
				first.stop()
				second.stop()
			})
		}
	}
}

// brotli wraps octets into uncompressed meta-blocks (RFC 7932 §9.2).
func brotli(octets []byte) (out []byte) {
	shift := 1 // the window's size takes one bit: 0 is 16
	for len(octets) > 0 {
		n := min(len(octets), 1<<16)
		head := (uint32(n-1)<<3 | 1<<19) << shift
		out = append(out, byte(head), byte(head>>8), byte(head>>16))
		out, octets, shift = append(out, octets[:n]...), octets[n:], 0
	}
	return append(out, 3) // the last meta-block, empty
}

// zstandard wraps octets into raw blocks (RFC 8878 §3.1.1).
func zstandard(octets []byte) []byte {
	out := []byte{0x28, 0xb5, 0x2f, 0xfd, 0, 0x50} // a window of 1 MB, no checksum
	for len(octets) > 0 {
		n := min(len(octets), 1<<17)
		head := uint32(n) << 3
		if n == len(octets) {
			head |= 1
		}
		out = append(out, byte(head), byte(head>>8), byte(head>>16))
		out, octets = append(out, octets[:n]...), octets[n:]
	}
	return out
}
