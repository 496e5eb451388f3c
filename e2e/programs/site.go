// The networks, the servers and what they serve.

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"midstream/e2e/lab"
)

// newTable raises the laboratory; work is the folder that makeContent has filled.
func newTable(s *lab.Stage, work string, sameLeaf bool) *table {
	t := &table{Lab: lab.New(s), t: s, tools: filepath.Join(work, "tools"), servers: map[string][]*lab.Server{}}
	t.LogLevel = "off"
	os.Chmod("/run/lab", 0o755) // for programs that give up being root
	os.Chmod(t.Dir, 0o755)
	root := filepath.Join(work, "content")
	t.ca = lab.Authority(s, filepath.Join(t.Dir, "ca"))
	t.trust()
	smart := t.smartGit(root)
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
		types := "location = /parts.bin { limit_rate 1m; }\n" + smart // four connections together are as fast as one
		t.servers["http"] = append(t.servers["http"], n.Nginx(root, lab.ServerOptions{LimitRate: rate, Extra: types}))
		t.servers["https"] = append(t.servers["https"], n.Nginx(root, lab.ServerOptions{LimitRate: rate, Port: 443, Listen: "ssl http2",
			Extra: fmt.Sprintf("ssl_certificate %s; ssl_certificate_key %s;\n%s", certificate, key, types)}))
	}
	return t
}

// smartGit starts what answers git's own requests, and says to nginx where that is.
func (t *table) smartGit(root string) string {
	if !present("fcgiwrap") {
		return ""
	}
	socket := filepath.Join(t.Dir, "git.sock")
	c := exec.Command("fcgiwrap", "-s", "unix:"+socket)
	if err := c.Start(); err != nil {
		t.t.Fatalf("programs: fcgiwrap: %v", err)
	}
	t.t.Cleanup(func() { c.Process.Kill(); c.Wait() })
	return fmt.Sprintf(`location ~ ^/smart(/.*)$ {
  fastcgi_pass unix:%s;
  fastcgi_param SCRIPT_FILENAME /usr/lib/git-core/git-http-backend;
  fastcgi_param GIT_PROJECT_ROOT %s;
  fastcgi_param GIT_HTTP_EXPORT_ALL 1;
  fastcgi_param GIT_CONFIG_COUNT 1;
  fastcgi_param GIT_CONFIG_KEY_0 safe.directory;
  fastcgi_param GIT_CONFIG_VALUE_0 *;
  fastcgi_param PATH_INFO $1;
  fastcgi_param QUERY_STRING $query_string;
  fastcgi_param REQUEST_METHOD $request_method;
  fastcgi_param CONTENT_TYPE $content_type;
  fastcgi_param CONTENT_LENGTH $content_length;
}`, socket, root)
}

// makeContent makes what is downloaded: the same octets in the forms that the programs want; and compiles the programs of Go.
func makeContent(work string) error {
	root, tools := filepath.Join(work, "content"), filepath.Join(work, "tools")
	for _, folder := range []string{work, root, tools} {
		if err := os.Mkdir(folder, 0o755); err != nil && folder != work {
			return err
		}
		os.Chmod(folder, 0o755)
	}
	lab.Content(&lab.Stage{}, root, "film.bin", size, 1)
	script := `set -e
cd "$1"
head -c 100000 film.bin >small.bin
cp film.bin parts.bin
has() { command -v "$1" >/dev/null; }
if has ffmpeg; then
	ffmpeg -v error -y -f lavfi -i anoisesrc=d=260:seed=1 -c:a mp2 -b:a 384k -f mpegts film.ts
	ffmpeg -v error -y -i film.ts -c copy film.mp2
fi
! has zsyncmake || zsyncmake -u film.bin film.bin
if has ostree; then
	mkdir ostree tree
	cp film.bin tree/
	ostree --repo=ostree init --mode=archive
	ostree --repo=ostree commit -b film --owner-uid=0 --owner-gid=0 tree >/dev/null
	ostree --repo=ostree summary -u
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
repository() { # NAME FOLDER: a bare one of what is in the folder, without a history
	git init -q "$2"
	git -C "$2" add .
	git -C "$2" -c user.name=lab -c user.email=lab@films.example commit -qm film
	git clone -q --bare "$2" "$1"
	git -C "$1" update-server-info
}
mkdir work smart
cp film.bin work/
repository film.git work
cp -r film.git smart/film.git
# A registry of cargo: an index for each scheme, and the package.
mkdir crates crate crate/film-1.0.0 crate/film-1.0.0/src
cp film.bin crate/film-1.0.0/
touch crate/film-1.0.0/src/lib.rs
printf '[package]\nname = "film"\nversion = "1.0.0"\n' >crate/film-1.0.0/Cargo.toml
tar -czf crates/film-1.0.0.crate -C crate film-1.0.0
for scheme in http https; do
	mkdir -p index/$scheme/fi/lm
	printf '{"dl":"%s://films.example/crates/{crate}-{version}.crate"}' $scheme >index/$scheme/config.json
	printf '{"name":"film","vers":"1.0.0","deps":[],"cksum":"%s","features":{},"yanked":false}\n' "$(sha256sum <crates/film-1.0.0.crate | cut -d' ' -f1)" >index/$scheme/fi/lm/film
	repository index-$scheme.git index/$scheme
done
# A module of Go, as a proxy of modules has it.
at=go/films.example/film/@v
mkdir -p $at module/films.example/film@v1.0.0
printf 'module films.example/film\n' | tee module/films.example/film@v1.0.0/go.mod >$at/v1.0.0.mod
cp film.bin module/films.example/film@v1.0.0/
printf '{"Version":"v1.0.0","Time":"2024-03-01T12:00:00Z"}' >$at/v1.0.0.info
echo v1.0.0 >$at/list
(cd module && /usr/bin/python3 -c 'import sys, zipfile
with zipfile.ZipFile(sys.argv[1], "w") as z:
    for name in sys.argv[2:]: z.write(name)' ../$at/v1.0.0.zip films.example/film@v1.0.0/go.mod films.example/film@v1.0.0/film.bin)
rm -rf wheel package work crate index module tree
find . -exec touch -h -d 2024-03-01T12:00:00Z {} +`
	if out, err := exec.Command("sh", "-c", script, "sh", root).CombinedOutput(); err != nil {
		return fmt.Errorf("make the content: %w\n%s", err, out)
	}
	return compile(tools)
}

// compile makes the programs of Go, if there is a toolchain.
func compile(tools string) error {
	if !present("go") {
		return nil
	}
	for name, args := range map[string]string{
		"static":  "CGO_ENABLED=0 go build",
		"dynamic": "CGO_ENABLED=1 go build -ldflags=-linkmode=external",
	} {
		all := append(strings.Fields(args), "-o", filepath.Join(tools, name), "./e2e/programs/testdata/get.go")
		if out, err := exec.Command("env", all...).CombinedOutput(); err != nil {
			return fmt.Errorf("%v: %w\n%s", all, err, out)
		}
	}
	return nil
}

// trust puts the authority among those of the system, inside the laboratory only.
func (t *table) trust() {
	script := `cat /etc/ssl/certs/ca-certificates.crt "$1" >"$2/bundle" && chmod 644 "$2/bundle" "$1" && mount --bind "$2/bundle" /etc/ssl/certs/ca-certificates.crt`
	if out, err := exec.Command("sh", "-c", script, "sh", t.ca, t.Dir).CombinedOutput(); err != nil {
		t.t.Fatalf("programs: trust the authority: %v\n%s", err, out)
	}
}
