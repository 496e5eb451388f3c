// Programs as people use them: natively, under Midstream, and moved.

package migration

import (
	"bytes"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
	"time"

	"midstream/e2e/lab"
)

const filmSize = 5 << 20

// programs are downloads of URL into the file "out" of FOLDER.
var programs = []struct {
	name  string
	args  []string
	clean lab.Normaliser
	moves int // that the program's way of downloading has room for, with several
}{
	{"curl", []string{"curl", "-sS", "-o", "out", "URL"}, nil, 4},
	{"curl -w", []string{"curl", "-s", "--happy-eyeballs-timeout-ms", "30000", "-o", "out", "-D", "/dev/stderr", "-w", "%{http_code} %{size_download} %{num_connects} %{remote_ip} %{remote_port} %{url_effective}", "URL"}, without(`(?m)^Date: .*\n`), 4},
	{"curl over IPv4", []string{"curl", "-4", "-sS", "--http1.1", "--keepalive-time", "5", "-o", "out", "URL"}, nil, 4},
	{"curl with a range", []string{"sh", "-c", `curl -sS -r 0-2499999 -o a "$0" && curl -sS -r 2500000- -o b "$0" && cat a b >out`, "URL"}, nil, 2},
	{"curl through a pipe", []string{"sh", "-c", `curl -sS "$0" | cat >out`, "URL"}, nil, 4},
	{"wget", []string{"wget", "-nv", "-O", "out", "URL"}, without(`(?m)^[0-9-]* [0-9:]* `), 4},
	{"wget with its meter", []string{"wget", "-O", "out", "URL"}, without(`(?m)^(--)?[0-9-]* [0-9:]*.*$|[0-9.,]+[KM]B?/s|[0-9.]+[KM]? *[0-9.]*s|=[0-9.]+s| +[0-9]+%`), 4},
	{"wget going on", []string{"sh", "-c", `head -c 1000000 "$1" >out; wget -nv -c -O out "$0"`, "URL", "FILM"}, without(`(?m)^[0-9-]* [0-9:]* `), 2},
	{"python urllib", []string{"python3", "-c", `import sys, urllib.request
with urllib.request.urlopen(sys.argv[1]) as r, open("out", "wb") as f:
    while b := r.read(70000): f.write(b)
    print(r.status, r.headers["Content-Length"], r.headers["ETag"])`, "URL"}, nil, 4},
	{"python http.client", []string{"python3", "-c", `import http.client, sys
c = http.client.HTTPConnection("download.example", timeout=30)
for i in range(2):
    c.request("GET", "/film.mkv", headers={"Accept-Encoding": "identity"})
    r = c.getresponse()
    data = r.read()
    print(r.status, len(data), c.sock.getpeername()[:2])
open("out", "wb").write(data)`, "URL"}, nil, 4},
	{"python asyncio", []string{"python3", "-c", `import asyncio, sys
async def fetch():
    r, w = await asyncio.open_connection("download.example", 80)
    w.write(b"GET /film.mkv HTTP/1.1\r\nHost: download.example\r\nConnection: close\r\n\r\n")
    head = await r.readuntil(b"\r\n\r\n")
    data = await r.read()
    print(len(data), w.get_extra_info("peername")[:2])
    w.close()
    await w.wait_closed()
    return data
async def go():
    both = await asyncio.gather(fetch(), fetch())
    assert both[0] == both[1]
    open("out", "wb").write(both[0])
asyncio.run(go())`, "URL"}, nil, 4},
	{"aria2", []string{"aria2c", "--no-conf", "-q", "--file-allocation=none", "-o", "out", "URL"}, nil, 4},
	{"aria2 with four connections", []string{"aria2c", "--no-conf", "-q", "--file-allocation=none", "-x4", "-s4", "-k1M", "-o", "out", "URL"}, nil, 2},
}

// without takes what matches the expression out of the output.
func without(expression string) lab.Normaliser {
	pattern := regexp.MustCompile(expression)
	return func(output string) string { return pattern.ReplaceAllString(output, "") }
}

// moves drives a program through migrations at given shares of what is to be received. Programs with several
// connections, or several exchanges, are measured by the sum.
type moves struct {
	*job
	at    []float64
	begun time.Time
	seen  map[string]int64
	done  []lab.Moved
}

// step looks once whether the next migration is due.
func (m *moves) step(total int64) {
	if len(m.at) == 0 {
		return
	}
	select {
	case <-m.Ended():
		return
	default:
	}
	var received int64
	at := "" // where it is
	for _, s := range m.sessions() {
		m.seen[s.ID+s.URL] = max(m.seen[s.ID+s.URL], s.Received)
		at = s.Interface
	}
	for _, n := range m.seen {
		received += n
	}
	if float64(received) < m.at[0]*float64(total) {
		return
	}
	to := "wwan0"
	if at == to {
		to = "wlan0"
	}
	m.done = append(m.done, m.migrate(to)...)
	m.at = m.at[1:]
}

func (m *moves) successes() []lab.Migration {
	var all []lab.Migration
	for _, r := range m.done {
		if r.OK && r.Migration != nil {
			all = append(all, *r.Migration)
		}
	}
	return all
}

// sideBySide runs a program natively, under Midstream, moved once and moved several times, at the same time, and compares
// everything observable. It returns the migrations that took place.
func (s *site) sideBySide(clean lab.Normaliser, total int64, several int, args ...string) (once, often []lab.Migration) {
	s.t.Helper()
	native, under := s.job(false, args...), s.job(true, args...)
	one := &moves{job: s.job(true, args...), at: []float64{0.6}, seen: map[string]int64{}}
	more := &moves{job: s.job(true, args...), seen: map[string]int64{}}
	for i := range several {
		more.at = append(more.at, 0.45+0.45*float64(i)/float64(several))
	}
	native.Start()
	under.Start()
	one.Start()
	more.Start()
	for running := true; running; {
		one.step(total)
		more.step(total)
		running = false
		for _, m := range []*moves{one, more} {
			select {
			case <-m.Ended():
			default:
				running = true
			}
		}
	}
	want, sum := native.Wait(), lab.Sum(native.path("out"))
	if want.Status != 0 {
		s.t.Fatalf("natively: %v", want)
	}
	none := func(output string) string { return output }
	if clean == nil {
		clean = none
	}
	for how, j := range map[string]*job{"not moved": under, "moved once": one.job, "moved often": more.job} {
		lab.Compare(s.t, want, j.Wait(), clean)
		if got := lab.Sum(j.path("out")); got != sum {
			s.t.Errorf("%s: SHA-256 %s, natively %s", how, got, sum)
		}
	}
	once, often = one.successes(), more.successes()
	if len(once) == 0 || len(often) < several {
		s.t.Errorf("moved %d of 1 and %d of %d times: %+v, %+v", len(once), len(often), several, one.done, more.done)
	}
	return once, often
}

func TestProgramsDoNotNoticeThatTheyAreMoved(t *testing.T) {
	for _, p := range programs {
		t.Run(p.name, func(t *testing.T) {
			s := newSite(t)
			sum := s.file("film.mkv", filmSize)
			s.steady(2 << 20)
			resets := s.Network("wlan0").CaptureRST()
			var args []string
			for _, a := range p.args {
				switch a {
				case "URL":
					a = url("film.mkv")
				case "FILM":
					a = filepath.Join(s.root, "film.mkv")
				}
				args = append(args, a)
			}
			if _, err := exec.LookPath(args[0]); err != nil {
				t.Fatalf("%v; run e2e/setup.sh", err)
			}
			once, _ := s.sideBySide(p.clean, filmSize, p.moves, args...)
			if sum != lab.Sum(filepath.Join(s.root, "film.mkv")) {
				t.Fatal("the content was changed")
			}
			if len(once) > 0 && p.name != "curl with a range" && p.name != "aria2 with four connections" && p.name != "wget going on" {
				s.resumed("wwan0", once[0], 0)
			}
			resets.WaitReset(80, waitLimit)
		})
	}
}

func TestFFmpegDoesNotNoticeThatItIsMoved(t *testing.T) {
	s := newSite(t)
	film := filepath.Join(s.root, "film.ts")
	r := s.Command("ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc=size=640x480:rate=25", "-f", "lavfi", "-i", "sine", "-t", "12",
		"-c:v", "mpeg2video", "-b:v", "3M", "-minrate", "3M", "-maxrate", "3M", "-bufsize", "1M", "-c:a", "mp2", "-f", "mpegts", film).Run()
	info, err := os.Stat(film)
	if r.Status != 0 || err != nil {
		t.Fatalf("no film: %v %v", err, r)
	}
	os.Chtimes(film, lab.Modified, lab.Modified)
	s.steady(info.Size() / 3)
	s.sideBySide(nil, info.Size(), 2, "ffmpeg", "-v", "error", "-nostdin", "-i", url("film.ts"), "-map", "0:v", "-c", "copy", "-f", "rawvideo", "out")
}

// repository makes a Debian repository with one package of some megabytes.
func (s *site) repository() {
	s.t.Helper()
	build := filepath.Join(s.work, "package")
	lab.Content(s.t, filepath.Join(build, "usr", "share", "film"), "film.mkv", 3<<20, 3)
	os.MkdirAll(filepath.Join(build, "DEBIAN"), 0o755)
	control := "Package: film\nVersion: 1.0\nArchitecture: all\nMaintainer: Nobody <nobody@example.org>\nDescription: a film\n"
	if err := os.WriteFile(filepath.Join(build, "DEBIAN", "control"), []byte(control), 0o644); err != nil {
		s.t.Fatal(err)
	}
	var packages, release bytes.Buffer
	s.run(nil, "dpkg-deb", "-Znone", "--root-owner-group", "--build", build, filepath.Join(s.root, "film_1.0_all.deb"))
	s.run(&packages, "apt-ftparchive", "packages", ".")
	os.WriteFile(filepath.Join(s.root, "Packages"), packages.Bytes(), 0o644)
	s.run(&release, "apt-ftparchive", "release", ".")
	os.WriteFile(filepath.Join(s.root, "Release"), release.Bytes(), 0o644)
	for _, name := range []string{"film_1.0_all.deb", "Packages", "Release"} {
		os.Chtimes(filepath.Join(s.root, name), lab.Modified, lab.Modified)
	}
}

func (s *site) run(stdout *bytes.Buffer, args ...string) {
	s.t.Helper()
	r := exec.Command(args[0], args[1:]...)
	var stderr bytes.Buffer
	r.Dir, r.Stderr = s.root, &stderr
	if stdout != nil {
		r.Stdout = stdout
	}
	if err := r.Run(); err != nil {
		s.t.Fatalf("%v: %v\n%s", args, err, stderr.String())
	}
}

// aptLine updates the lists from the repository and downloads its package, in a root folder of its own.
const aptLine = `set -e
mkdir -p root/etc/apt/preferences.d root/var/lib/apt/lists/partial root/var/cache/apt/archives/partial root/var/lib/dpkg
touch root/var/lib/dpkg/status
echo "deb [trusted=yes] http://download.example/ ./" >root/etc/apt/sources.list
set -- -o Dir="$PWD/root" -o Dir::Etc::sourceparts=/dev/null -o Dir::Etc::Parts=/dev/null -o Dir::State::status="$PWD/root/var/lib/dpkg/status" \
	-o Dir::Bin::Methods=/usr/lib/apt/methods -o APT::Architecture=amd64 -o Acquire::Languages=none $SANDBOX
apt-get "$@" -qq update
apt-get "$@" -qq download film
mv film_*.deb out`

func TestAptDoesNotNoticeThatItIsMoved(t *testing.T) {
	s := newSite(t)
	s.repository()
	s.steady(1 << 20)
	once, _ := s.sideBySide(nil, 3<<20, 2, "sh", "-c", `SANDBOX="-o APT::Sandbox::User=root"; `+aptLine)
	if len(once) > 0 {
		s.resumed("wwan0", once[0], 0)
	}
}

// By default apt's methods give up being root before they download.
func TestAptAsAnotherUserDoesNotNoticeThatItIsMoved(t *testing.T) {
	s := newSite(t)
	apt, err := user.Lookup("_apt")
	if err != nil {
		t.Skip("there is no user _apt")
	}
	uid, _ := strconv.Atoi(apt.Uid)
	if os.Chown(s.work, uid, 0) != nil {
		t.Skip("the user _apt cannot be had in this namespace")
	}
	s.repository()
	s.steady(1 << 20)
	for _, folder := range []string{"/run/lab", s.Dir, s.RuntimeDir(), s.work, filepath.Dir(s.work)} {
		os.Chmod(folder, 0o755)
	}
	if err := os.WriteFile(s.LogFile(), nil, 0o644); err != nil || os.Chown(s.LogFile(), uid, 0) != nil {
		t.Fatal("no log for _apt")
	}
	s.prepare = func(j *job) {
		for _, folder := range []string{j.runtime, j.folder} {
			if err := os.Chown(folder, uid, 0); err != nil {
				t.Fatal(err)
			}
		}
		os.Chmod(j.folder, 0o755)
	}
	once, _ := s.sideBySide(nil, 3<<20, 2, "sh", "-c", `SANDBOX=; `+aptLine)
	if len(once) > 0 {
		s.resumed("wwan0", once[0], 0)
	}
}
