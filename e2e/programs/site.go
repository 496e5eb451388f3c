// The networks, the servers and what they serve.

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"midstream/e2e/lab"
)

func newTable(s *lab.Stage, sameLeaf bool) *table {
	t := &table{Lab: lab.New(s), t: s, servers: map[string]*lab.Server{}, movable: map[string]int{}, passing: map[string]int{}}
	t.LogLevel = "off"
	for _, folder := range []*string{&t.root, &t.tools} {
		var err error
		if *folder, err = os.MkdirTemp("", "midstream-programs-"); err != nil {
			s.Fatalf("programs: %v", err)
		}
		s.Cleanup(func() { os.RemoveAll(*folder) })
	}
	os.Chmod("/run/lab", 0o755) // for programs that give up being root
	os.Chmod(t.Dir, 0o755)
	t.fill()
	t.compile()
	t.ca = lab.Authority(s, filepath.Join(t.Dir, "ca"))
	t.trust()
	for i, n := range t.Networks() {
		n.DNS(map[string][]string{host: {n.Content()}})
		label := n.Name
		if sameLeaf {
			label = "both"
		}
		certificate, key := filepath.Join(t.Dir, "ca-"+label+".pem"), filepath.Join(t.Dir, "ca-"+label+".key")
		if !sameLeaf || i == 0 {
			certificate, key = lab.Certificate(s, t.ca, label, host)
		}
		plain := n.Nginx(t.root, lab.ServerOptions{LimitRate: rate})
		secure := n.Nginx(t.root, lab.ServerOptions{LimitRate: rate, Port: 443, Listen: "ssl http2",
			Extra: fmt.Sprintf("ssl_certificate %s; ssl_certificate_key %s;", certificate, key)})
		if i == 0 {
			t.servers["http"], t.servers["https"] = plain, secure
		}
	}
	return t
}

// fill makes what is downloaded: the same octets in the forms that the programs want.
func (t *table) fill() {
	lab.Content(t.t, t.root, "film.bin", size, 1)
	script := `set -e
cd "$1"
if command -v ffmpeg >/dev/null; then
	ffmpeg -v error -y -f lavfi -i anoisesrc=d=260:seed=1 -c:a mp2 -b:a 384k -f mpegts film.ts
fi
mkdir wheel wheel/film wheel/film-1.0.dist-info package
cp film.bin wheel/film/
printf 'Metadata-Version: 2.1\nName: film\nVersion: 1.0\n' >wheel/film-1.0.dist-info/METADATA
printf 'Wheel-Version: 1.0\nGenerator: hand\nRoot-Is-Purelib: true\nTag: py3-none-any\n' >wheel/film-1.0.dist-info/WHEEL
printf 'film/film.bin,,\nfilm-1.0.dist-info/METADATA,,\nfilm-1.0.dist-info/WHEEL,,\nfilm-1.0.dist-info/RECORD,,\n' >wheel/film-1.0.dist-info/RECORD
(cd wheel && /usr/bin/python3 -m zipfile -c ../film-1.0-py3-none-any.whl film film-1.0.dist-info)
cp film.bin package/
echo '{"name":"film","version":"1.0.0"}' >package/package.json
tar -czf film-1.0.0.tgz package
git init -q work
cp film.bin work/
git -C work add film.bin
git -C work -c user.name=lab -c user.email=lab@films.example commit -qm film
git clone -q --bare work film.git
git -C film.git update-server-info
rm -rf wheel package work
find . -exec touch -d 2024-03-01T12:00:00Z {} +`
	if out, err := exec.Command("sh", "-c", script, "sh", t.root).CombinedOutput(); err != nil {
		t.t.Fatalf("programs: make the content: %v\n%s", err, out)
	}
}

// compile makes the programs of Go, if there is a toolchain.
func (t *table) compile() {
	if !present("go") {
		return
	}
	source := filepath.Join(lab.Root(t.t), "e2e/programs/testdata/get.go")
	for name, args := range map[string][]string{
		"static":  {"CGO_ENABLED=0", "go", "build"},
		"dynamic": {"CGO_ENABLED=1", "go", "build", "-ldflags=-linkmode=external"},
	} {
		args = append(args, "-o", filepath.Join(t.tools, name), source)
		if out, err := exec.Command("env", args...).CombinedOutput(); err != nil {
			t.t.Fatalf("programs: %v: %v\n%s", args, err, out)
		}
	}
	os.Chmod(t.tools, 0o755)
}

// trust puts the authority among those of the system, inside the laboratory only.
func (t *table) trust() {
	script := `cat /etc/ssl/certs/ca-certificates.crt "$1" >"$2/bundle" && chmod 644 "$2/bundle" "$1" && mount --bind "$2/bundle" /etc/ssl/certs/ca-certificates.crt`
	if out, err := exec.Command("sh", "-c", script, "sh", t.ca, t.Dir).CombinedOutput(); err != nil {
		t.t.Fatalf("programs: trust the authority: %v\n%s", err, out)
	}
}
