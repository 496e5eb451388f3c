package tls

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"midstream/e2e/lab"
)

const asyncioClient = `
import asyncio, ssl, sys
async def main(ca, host, out):
    context = ssl.create_default_context(cafile=ca)
    reader, writer = await asyncio.open_connection(host, 443, ssl=context)
    writer.write(b"GET /film.bin HTTP/1.1\r\nHost: " + host.encode() + b"\r\n\r\n")
    head = await reader.readuntil(b"\r\n\r\n")
    left = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
    with open(out, "wb") as f:
        while left:
            piece = await reader.read(min(left, 65536))
            assert piece
            f.write(piece)
            f.flush()
            left -= len(piece)
    writer.close()
asyncio.run(main(*sys.argv[1:]))
`

// A program whose library works on memory, and that sends the records itself, goes on as it would, and is told why.
func TestMemoryBIO(t *testing.T) {
	s := newSite(t, lab.Link{})
	s.serve(nil)
	out := s.out("asyncio")
	args := []string{"/usr/bin/python3", "-c", asyncioClient, s.ca.certificate, host, out}
	p := s.Midstream(args...).Start()
	s.reached(p, out, size/4)
	list := s.Ctl("sessions", "--json").Run().Stdout
	if !strings.Contains(list, "memory BIO") {
		t.Error(list)
	}
	if r := p.Wait(); r.Status != 0 || r.Stderr != "" {
		t.Errorf("%v", r)
	}
	s.intact("asyncio", out)
}

// Content that is compressed or chunked moves, or is refused with a reason, and arrives whole either way.
func TestCodedResponses(t *testing.T) {
	s := newSite(t, lab.Link{})
	const lines = 300000
	var text strings.Builder
	for i := range lines {
		fmt.Fprintf(&text, "line %d of a text that can be compressed, %x\n", i, uint32(i)*2654435761)
	}
	path := filepath.Join(s.folder, "content", "text.txt")
	if err := os.WriteFile(path, []byte(text.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	want := lab.Sum(path)
	s.rate = 6 << 20
	const gzip = " gzip on; gzip_types *; gzip_comp_level 1; gzip_proxied any;"
	chunked := " location /chunked/ { ssi on; ssi_types *; ssi_last_modified on; alias " + filepath.Join(s.folder, "content") + "/; }"
	s.serve(map[string]identity{"wlan0": {extra: gzip + chunked}, "wwan0": {extra: gzip + chunked}})
	url := "https://" + host
	for label, args := range map[string][]string{
		"gzip":         {"--compressed", url + "/text.txt"},
		"chunked":      {url + "/chunked/text.txt"},
		"chunked gzip": {"--compressed", url + "/chunked/text.txt"},
	} {
		t.Run(label, func(t *testing.T) {
			s.t = t
			out := s.out(strings.ReplaceAll(label, " ", "-"))
			args := append([]string{"curl", "-sSN", "-D", out + ".head", "--cacert", s.ca.certificate, "-o", out}, args...)
			native := s.Command(args...).Run()
			if native.Status != 0 || lab.Sum(out) != want {
				t.Fatalf("natively: %v", native)
			}
			head, _ := os.ReadFile(out + ".head")
			if !strings.Contains(string(head), "chunked") {
				t.Fatalf("not chunked: %s", head)
			}
			os.Remove(out)
			r, moved := s.move(s.Midstream(args...), out, 2)
			if r.Status != 0 || r.Stderr != "" {
				t.Errorf("%v", r)
			}
			if lab.Sum(out) != want {
				t.Error("content differs")
			}
			for _, m := range moved {
				if !m.OK && m.Reason == "" {
					t.Error("refused without a reason")
				}
				t.Logf("moved: %v %s", m.OK, m.Reason)
			}
			if len(moved) == 0 {
				t.Error("nothing was tried")
			}
		})
	}
}
