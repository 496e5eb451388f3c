package tls

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"midstream/e2e/lab"
)

// copied makes a second OpenSSL of the system's, which shares no name with the first and so is loaded beside it.
func copied(t *testing.T, folder string) (crypto, ssl string) {
	t.Helper()
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"libcrypto", "libssl"} {
		from, _ := filepath.Glob("/usr/lib/*/" + name + ".so.3")
		if len(from) == 0 {
			t.Skipf("there is no %s.so.3", name)
		}
		octets, err := os.ReadFile(from[0])
		if err != nil {
			t.Fatal(err)
		}
		for _, other := range []string{"libcrypto", "libssl"} {
			octets = bytes.ReplaceAll(octets, []byte(other+".so.3\x00"), []byte(other+".so.9\x00"))
		}
		if err := os.WriteFile(filepath.Join(folder, name+".so.9"), octets, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(folder, "libcrypto.so.9"), filepath.Join(folder, "libssl.so.9")
}

// A program opens several copies of OpenSSL late, each in another way, and works with all of them at once.
func TestCopies(t *testing.T) {
	s := newSite(t, lab.Link{})
	s.serve(nil)
	client := s.CC("copies", "-ldl")
	plugin := s.out("plugin.so")
	source := filepath.Join(lab.Root(t), "e2e/clients/copies.c")
	if said, err := exec.Command("cc", "-O2", "-DPLUGIN", "-shared", "-fPIC", "-o", plugin, source, "-l:libssl.so.3", "-l:libcrypto.so.3").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	crypto, ssl := copied(t, s.out("second"))
	crypto2, ssl2 := copied(t, s.out("third"))
	ways := map[string][]string{
		"looked up": {"local", "libcrypto.so.3", "libssl.so.3", "local", crypto, ssl},
		"bound":     {"plugin", "", plugin, "deep", crypto2, ssl2},
	}
	if older, _ := filepath.Glob(filepath.Join(lab.Root(t), "build/openssl-1.1/usr/lib/*/lib*.so.1.1")); len(older) == 2 {
		ways["looked up"] = append(ways["looked up"], "local", older[0], older[1])
	}
	for label, way := range ways {
		t.Run(label, func(t *testing.T) {
			s.t = t
			args := []string{client, host, "443", "/" + name, s.ca.certificate}
			var files []string
			for i := 0; i < len(way); i += 3 {
				files = append(files, s.out(fmt.Sprint(way[i], i)))
				args = append(append(args, way[i:i+3]...), files[len(files)-1])
			}
			native := s.Command(args...).Run()
			if native.Status != 0 {
				t.Fatalf("natively: %v", native)
			}
			for _, file := range files {
				os.Remove(file)
			}
			r, moved := s.move(s.Midstream(args...), files[len(files)-1], 3)
			lab.Compare(t, native, r)
			for _, file := range files {
				s.intact(strings.TrimPrefix(file, s.folder), file)
			}
			if len(moved) < len(files) {
				t.Errorf("moved %d times", len(moved))
			}
			for _, m := range moved {
				if !m.OK {
					t.Errorf("not moved: %s", m.Reason)
				}
			}
		})
	}
}

// A program that is not prepared to try again (SSL_ERROR_WANT_READ), because its socket blocks, is moved out of a read call
// that waits in vain.
func TestBlockedReader(t *testing.T) {
	s := newSite(t, lab.Link{})
	s.Configure("[failover]\nenabled = false\n")
	content, err := os.ReadFile(s.out("content/" + name))
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	t.Cleanup(func() { close(ended) })
	for _, network := range networks {
		s.answerer(network, func(c *tls.Conn, r *http.Request) {
			from, status := 0, "200 OK"
			if n, _ := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &from); n > 0 {
				status = fmt.Sprintf("206 Partial Content\r\nContent-Range: bytes %d-%d/%d", from, len(content)-1, len(content))
			}
			fmt.Fprintf(c, "HTTP/1.1 %s\r\nETag: \"film\"\r\nContent-Length: %d\r\n\r\n", status, len(content)-from)
			if from > 0 {
				c.Write(content[from:])
				return
			}
			c.Write(content[:size/2])
			<-ended
		})
	}
	out := s.out("blocked")
	p := s.Midstream(s.CC("copies", "-ldl"), host, "443", "/"+name, s.ca.certificate, "local", "libcrypto.so.3", "libssl.so.3", out).Start()
	s.reached(p, out, size/2)
	s.known(p)
	moved := s.migrate("wwan0")
	if r := p.Wait(); r.Status != 0 {
		t.Errorf("%v", r)
	}
	s.intact("blocked", out)
	if len(moved) != 1 || !moved[0].OK {
		t.Errorf("%+v", moved)
	}
}
