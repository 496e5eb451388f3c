package tls

import (
	"bytes"
	"fmt"
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
