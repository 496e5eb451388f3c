// Radio stations: a stream without a length goes on at another server of the same station, octet for octet, by what its listeners have
// been sent last.

package live

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"midstream/e2e/lab"
)

func TestMain(m *testing.M) { lab.Main(m) }

const (
	host  = "radio.example"
	rate  = 16000 // octets a second: 128 kbit/s
	burst = 65535 // as Icecast has it
)

// sound is half a minute of MPEG audio, or FOR seconds of it, made once.
var sound []byte

func make30(t *testing.T) []byte {
	t.Helper()
	if sound != nil {
		return sound
	}
	out, err := exec.Command("ffmpeg", "-nostdin", "-loglevel", "error", "-f", "lavfi", "-i", "anoisesrc=c=pink:a=0.5:seed=7", "-t", strconv.Itoa(max(30, seconds()+10)),
		"-c:a", "libmp3lame", "-b:a", "128k", "-write_xing", "0", "-id3v2_version", "0", "-f", "mp3", "-").Output()
	if err != nil {
		t.Fatal(err)
	}
	sound = out
	return sound
}

// seconds is how long a test goes on after what it disturbs.
func seconds() int {
	n, _ := strconv.Atoi(os.Getenv("FOR"))
	return max(n, 1)
}

// site is a phone with two networks, each with a server of the station.
type site struct {
	*lab.Lab
	t       *testing.T
	servers map[string]*lab.Server
	station *lab.Station
}

func newSite(t *testing.T, networks ...string) *site {
	var options []lab.Option
	for _, name := range networks {
		options = append(options, lab.Net(name, lab.Link{}))
	}
	s := &site{Lab: lab.New(t, options...), t: t, servers: map[string]*lab.Server{}}
	var all []*lab.Server
	for _, n := range s.Networks() {
		n.DNS(map[string][]string{host: {n.Content()}})
		s.servers[n.Name] = n.Icecast(burst, lab.ServerOptions{Addresses: []string{n.Content()}})
		all = append(all, s.servers[n.Name])
	}
	s.station = s.Station("live.mp3", "audio/mpeg", make30(t), burst+rate, rate, all...)
	return s
}

// listener is a program that writes what it is handed into the file "out".
type listener struct {
	*lab.Program
	s      *site
	name   string
	folder string
	titles int // after so many octets of sound stands a title in what it writes

	station *lab.Station
	like    *listener // natively; nil: what it writes is as the station has sent it
}

func (s *site) listener(under bool, name string, titles int, args ...string) *listener {
	l := &listener{s: s, name: name, folder: s.t.TempDir(), titles: titles, station: s.station}
	for i := range args {
		args[i] = strings.Replace(args[i], "URL", "http://"+host+"/live.mp3", 1)
	}
	l.Program = s.Command(args...)
	if under {
		l.Program = s.Midstream(args...)
	}
	l.Dir = l.folder
	l.Env = append(l.Env, "HOME="+l.folder)
	l.Start()
	return l
}

func (s *site) listeners(under bool) []*listener {
	all := []*listener{
		s.listener(under, "curl", 0, "curl", "-sSN", "-o", "out", "URL"),
		s.listener(under, "curl with titles", 16000, "curl", "-sSN", "-H", "Icy-MetaData: 1", "-o", "out", "URL"),
		s.listener(under, "ffmpeg", 0, "ffmpeg", "-nostdin", "-loglevel", "error", "-i", "URL", "-c", "copy", "-flush_packets", "1", "-write_xing", "0", "-id3v2_version", "0", "-f", "mp3", "out"),
	}
	for _, args := range [][]string{
		{"mpv", "--no-config", "--no-terminal", "--ao=null", "--stream-dump=out", "URL"},
		{"mpg123", "-q", "-t", "--no-icy-meta", "--streamdump", "out", "URL"},
		{"gst-launch-1.0", "-q", "souphttpsrc", "location=URL", "!", "filesink", "location=out", "buffer-mode=unbuffered"},
		{"cvlc", "-I", "dummy", "-q", "--demux=dump", "--demuxdump-file=out", "URL"},
	} {
		name := args[0]
		if _, err := exec.LookPath(name); err == nil && seconds() > 1 { // a longer run's, with what is installed
			if name == "cvlc" {
				args = append([]string{"unshare", "--user", "--map-user=1000", "--map-group=1000"}, args...) // it will not run as root
			}
			titles := 0
			if name == "gst-launch-1.0" {
				titles = 16000 // souphttpsrc asks for them, and leaves them in
			}
			all = append(all, s.listener(under, name, titles, args...))
		}
	}
	return all
}

// out is the sound that it has written so far, and the titles between.
func (l *listener) out() (plain []byte, titles []string) {
	all, _ := os.ReadFile(filepath.Join(l.folder, "out"))
	if l.titles == 0 {
		return all, nil
	}
	for len(all) > l.titles {
		plain = append(plain, all[:l.titles]...)
		n := 1 + 16*int(all[l.titles])
		title := all[l.titles:min(l.titles+n, len(all))]
		if len(title) > 1 {
			titles = append(titles, string(bytes.TrimRight(title[1:], "\x00")))
		}
		all = all[min(l.titles+n, len(all)):]
	}
	return append(plain, all...), titles
}

// reaches waits until it has written what the station sent at that octet.
func (l *listener) reaches(octet int64) {
	l.s.t.Helper()
	l.s.Await(fmt.Sprintf("%s to have octet %d", l.name, octet), 20*time.Second, func() bool {
		select {
		case <-l.Ended():
			l.s.t.Fatalf("%s has ended: %v", l.name, l.Wait())
		default:
		}
		had, _ := l.out()
		if len(had) < 4096 {
			return false
		}
		at := bytes.LastIndex(l.station.Sound, had[len(had)-1024:])
		return int64(at) > octet
	})
}

// intact ends it, and looks whether what it has written is one piece of what the station has sent.
func (l *listener) intact() {
	l.s.t.Helper()
	l.Process.Signal(syscall.SIGTERM)
	l.Wait()
	had, titles := l.out()
	if l.like != nil {
		want, _ := l.like.out()
		if n := min(len(want), len(had)); n < burst || !bytes.Equal(want[:n], had[:n]) {
			l.s.t.Errorf("%s: %d octets are not those of a native one, which has %d", l.name, len(had), len(want))
		}
		return
	}
	if !bytes.Contains(l.s.station.Sound, had) {
		n := 0
		for n < len(had) && bytes.Contains(l.s.station.Sound, had[:n+1]) {
			n += 1
		}
		l.s.t.Errorf("%s: of %d octets only the first %d are one piece of the station's", l.name, len(had), n)
	}
	if l.titles > 0 && (len(titles) == 0 || titles[len(titles)-1] != "StreamTitle='the second';") {
		l.s.t.Errorf("%s: titles %q", l.name, titles)
	}
}

// ogg is a listener of a station that sends Ogg, beside a native one that begins at the same time: Icecast sends each listener the headers
// first, and makes pages of its own.
func (s *site) ogg() *listener {
	s.t.Helper()
	out, err := exec.Command("ffmpeg", "-nostdin", "-loglevel", "error", "-f", "lavfi", "-i", "anoisesrc=c=pink:a=0.5:seed=9", "-t", strconv.Itoa(max(30, 6*seconds()+20)),
		"-c:a", "libvorbis", "-b:a", "128k", "-f", "ogg", "-").Output()
	if err != nil {
		s.t.Fatal(err)
	}
	station := s.Station("live.ogg", "application/ogg", out, 2*burst, rate, s.servers["wlan0"], s.servers["wwan0"], s.servers["eth0"])
	like := s.listener(false, "curl of Ogg, natively", 0, "curl", "-sSN", "-o", "out", "http://"+s.Network("eth0").Content()+"/live.ogg")
	l := s.listener(true, "curl of Ogg", 0, "curl", "-sSN", "-o", "out", "http://"+host+"/live.ogg")
	l.station, l.like = station, like
	return l
}

// migrations are those that the listener's stream has behind it.
func (l *listener) migrations() (all []lab.Migration) {
	for _, one := range l.s.CtlSessions() {
		if one.PID == l.Pid() {
			all = append(all, one.Migrations...)
		}
	}
	return all
}

// Whatever becomes of the server or of the way to it, and where a person asks for it: what a program is handed is one piece of the
// station's sound.
func TestAStationGoesOn(t *testing.T) {
	s := newSite(t, "wlan0", "wwan0", "eth0")
	s.station.Title("the first")
	native := s.listener(false, "curl, natively", 0, "curl", "-sSN", "-o", "out", "http://"+s.Network("wwan0").Content()+"/live.mp3")
	all := append(s.listeners(true), s.ogg())
	for _, l := range append(all, native) {
		l.reaches(l.station.Sent())
	}
	s.station.Title("the second")
	for i, event := range []struct {
		name string
		do   func()
	}{
		{"moved", func() {
			if r := s.Ctl("migrate", "--to", "wwan0").Run(); r.Status != 0 {
				s.t.Errorf("%v", r)
			}
		}},
		{"its server is killed", func() { s.servers["wwan0"].Kill() }},
		{"its connection is reset", func() { // but not that of the station's source
			for _, name := range []string{"wlan0", "eth0"} { // where they are by now
				if n := s.Network(name); n.Command("ss", "-K", "-t", "dst", n.Phone()) != nil {
					t.Error("no connection was reset")
				}
			}
		}},
		{"its network is silent", func() { s.Network("eth0").Drop(lab.Both) }},
	} {
		begun := map[*listener]int64{}
		for _, l := range all {
			begun[l] = l.station.Sent()
		}
		event.do()
		for _, l := range all {
			l.reaches(begun[l] + int64(rate*seconds()))
			moved := l.migrations()
			if len(moved) <= i && l.like == nil && event.name != "its network is silent" { // it may be on the other one by then
				t.Errorf("%s, %s: %+v", l.name, event.name, moved)
			}
			if len(moved) > 0 {
				last := moved[len(moved)-1]
				t.Logf("%s, %s: to %s, %s, nothing for %.0f ms", l.name, event.name, last.To.Interface, last.Delivery, last.StallMS)
			}
		}
	}
	for _, l := range all {
		l.intact()
	}
	if r := native.Wait(); r.Status != 0 {
		t.Errorf("natively: %v", r)
	}
}

// Where the other server has another station, and where this one has come to its end, the program is told what it is natively.
func TestAStationThatEnds(t *testing.T) {
	s := &site{Lab: lab.New(t), t: t}
	sound := make30(t)
	var stations []*lab.Station
	for i, n := range s.Networks() {
		n.DNS(map[string][]string{host: {n.Content()}})
		server := n.Icecast(burst, lab.ServerOptions{Addresses: []string{n.Content()}})
		// The other one plays what this one does in half a minute.
		stations = append(stations, s.Station("live.mp3", "audio/mpeg", sound[i*len(sound)/2:], burst+rate, rate, server))
	}
	s.station = stations[0]
	native := s.listener(false, "curl, natively", 0, "curl", "-sSN", "-o", "out", "URL")
	s.Configure("[live]\ngaps = [\"wge*\"]\n")
	gap := s.listener(true, "wget", 0, "wget", "-q", "-t", "1", "-O", "out", "URL")
	all := s.listeners(true)
	for _, l := range append(all, native, gap) {
		l.reaches(s.station.Sent())
	}
	begun := time.Now()
	s.station.End()
	if r, under := native.Wait(), all[0].Wait(); r.Status != 0 {
		t.Errorf("natively: %v", r)
	} else {
		lab.Compare(t, r, under)
	}
	for _, l := range all {
		l.Wait()
		if had, _ := l.out(); !bytes.Contains(sound, had) {
			t.Errorf("%s: what it has written is not one piece of the station's", l.name)
		}
	}
	t.Logf("the programs were told after %v", time.Since(begun))
	// What the user lets go on with a gap does, where a frame begins.
	had, _ := gap.out()
	first := len(had)
	s.Await("the other station", lab.Patience, func() bool {
		had, _ = gap.out()
		for first > 0 && !bytes.Contains(sound[:s.station.Sent()], had[:first]) {
			first--
		}
		return len(had) > first+rate/2 && bytes.Contains(sound, had[first:])
	})
	gap.Process.Signal(syscall.SIGTERM)
	gap.Wait()
	if had[first] != 0xff || had[first+1]&0xe0 != 0xe0 {
		t.Errorf("it goes on with % x", had[first:first+4])
	}
}
