// Lists of segments (HLS, DASH): each is a download that goes on at another server, and a player decodes the frames of an undisturbed run.

package live

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"midstream/e2e/lab"
)

const (
	listHost = "films.example"
	listPace = 150_000 // octets a second
	frames   = 150
)

// makeLists makes six seconds of a film in segments of two: hls.m3u8 and dash.mpd.
func makeLists(t *testing.T, root string) {
	t.Helper()
	film := []string{"-nostdin", "-loglevel", "error", "-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25", "-t", "6", "-c:v", "libx264", "-preset", "ultrafast",
		"-b:v", "1200k", "-minrate", "1200k", "-maxrate", "1200k", "-bufsize", "600k", "-x264-params", "nal-hrd=cbr", "-g", "50", "-keyint_min", "50", "-sc_threshold", "0"}
	for _, last := range [][]string{
		{"-f", "hls", "-hls_time", "2", "-hls_list_size", "0", "-hls_segment_filename", filepath.Join(root, "hls%d.ts"), filepath.Join(root, "hls.m3u8")},
		{"-f", "dash", "-seg_duration", "2", filepath.Join(root, "dash.mpd")},
	} {
		if out, err := exec.Command("ffmpeg", append(film, last...)...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	// Hostile: a list that names a segment twice, and begins again.
	loop := "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:0\n"
	for _, n := range []int{0, 1, 1, 0} {
		loop += fmt.Sprintf("#EXT-X-DISCONTINUITY\n#EXTINF:2.000000,\nhls%d.ts\n", n)
	}
	if err := os.WriteFile(filepath.Join(root, "loop.m3u8"), []byte(loop+"#EXT-X-ENDLIST\n"), 0o644); err != nil {
		t.Fatal(err)
	}
}

// films is a phone with two networks, whose servers have the same films, each in files of its own: other dates, other entity tags.
func films(t *testing.T, configuration string) (*lab.Lab, map[string]*lab.Server, string) {
	t.Helper()
	l := lab.New(t, lab.Net("wlan0", lab.Link{}), lab.Net("wwan0", lab.Link{}))
	roots, servers := [2]string{t.TempDir(), t.TempDir()}, map[string]*lab.Server{}
	makeLists(t, roots[0])
	if out, err := exec.Command("cp", "-r", roots[0]+"/.", roots[1]).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	old := time.Now().Add(-time.Hour)
	files, _ := filepath.Glob(roots[1] + "/*")
	for _, f := range files {
		if err := os.Chtimes(f, old, old); err != nil {
			t.Fatal(err)
		}
	}
	for i, n := range l.Networks() {
		n.DNS(map[string][]string{listHost: {n.Content()}})
		if i == 0 {
			servers[n.Name] = n.Paced(roots[0], lab.ServerOptions{LimitRate: listPace})
		} else {
			servers[n.Name] = n.Apache(roots[1], lab.ServerOptions{})
		}
	}
	l.Configure(configuration)
	return l, servers, roots[0]
}

// player is a program that decodes a film, and writes what each frame is into the file "out".
type player struct {
	*lab.Program
	folder, name string
}

// play starts it; at is where the list is.
func play(t *testing.T, start func(...string) *lab.Program, program, at, list string) *player {
	t.Helper()
	p := &player{folder: t.TempDir(), name: program + " of " + list}
	args := []string{"ffmpeg", "-nostdin", "-loglevel", "error", "-i", at + list, "-an", "-f", "framemd5", "out"}
	if program == "mpv" {
		args = []string{"mpv", "--no-config", "--no-terminal", "--no-audio", "--of=framemd5", "--ovc=rawvideo", "--o=out", at + list}
	}
	p.Program = start(args...)
	p.Dir = p.folder
	p.Env = append(p.Env, "HOME="+p.folder)
	p.Start()
	return p
}

// frames are the digests of the frames that it has decoded.
func (p *player) frames() (all []string) {
	out, _ := os.ReadFile(filepath.Join(p.folder, "out"))
	for line := range strings.Lines(string(out)) {
		if fields := strings.Split(line, ","); len(fields) == 6 {
			all = append(all, strings.TrimSpace(fields[5]))
		}
	}
	return all
}

// listed is what `sessions --json` says of a process beside what all tests look at.
type listed struct {
	lab.Session
	Play *struct {
		HandedS float64  `json:"handed_s"`
		BufferS *float64 `json:"buffer_s"`
	}
	Objects *struct {
		Count int64
		Last  []struct {
			URL    string
			Octets int64
		}
	}
}

func sessions(t *testing.T, l *lab.Lab) (all []listed) {
	t.Helper()
	r := l.Ctl("sessions", "--json").Run()
	if err := json.Unmarshal([]byte(r.Stdout), &all); err != nil {
		t.Logf("no list of sessions: %v", r)
	}
	return all
}

// amid reports whether a session is in the middle of a segment that is not the first.
func (s listed) amid() bool {
	return s.Length != nil && s.Received > 20_000 && s.Received < *s.Length-20_000 && s.Objects != nil && s.Objects.Count >= 2
}

func TestPlayersOfListsDecodeAllFrames(t *testing.T) {
	l, servers, root := films(t, "[migration]\nproof = \"whole\"\n")
	kinds := [][2]string{{"ffmpeg", "hls.m3u8"}, {"ffmpeg", "dash.mpd"}, {"ffmpeg", "loop.m3u8"}}
	if _, err := exec.LookPath("mpv"); err == nil {
		kinds = append(kinds, [2]string{"mpv", "hls.m3u8"})
	}
	web := "http://" + listHost + "/"
	lost := play(t, l.Command, "ffmpeg", web, "hls.m3u8")
	var all, like []*player
	for _, k := range kinds {
		all, like = append(all, play(t, l.Midstream, k[0], web, k[1])), append(like, play(t, l.Command, k[0], root+"/", k[1]))
	}
	timed, amid := map[string]bool{}, map[int]bool{}
	l.Await("all to have been in the middle of segments", lab.Patience, func() bool {
		for _, s := range sessions(t, l) {
			if first := filepath.Base(s.URL); s.Play != nil && s.Received > 100_000 && (first == "hls0.ts" || first == "chunk-stream0-00001.m4s") {
				timed[filepath.Ext(first)] = timed[filepath.Ext(first)] || s.Play.HandedS > 0.3
				if s.Play.HandedS > 2*float64(s.Received)/float64(*s.Length)+0.5 { // a segment has two seconds
					t.Errorf("%s: %.1f s of %d octets", s.URL, s.Play.HandedS, s.Received)
				}
			}
			if amid[s.PID] = amid[s.PID] || s.amid(); s.amid() && !strings.HasPrefix(s.Objects.Last[0].URL, web) {
				t.Errorf("%+v", s)
			}
		}
		for _, p := range all {
			select {
			case <-p.Ended():
				t.Fatalf("%s has ended: %v", p.name, p.Wait())
			default:
			}
			if !amid[p.Pid()] {
				return false
			}
		}
		return true
	})
	if len(timed) < 2 || !timed[".ts"] || !timed[".m4s"] {
		t.Errorf("play time was known of %v", timed)
	}
	servers["wlan0"].Kill()
	servers["wlan0"].Restart()
	for i, p := range all {
		want, got := like[i].Wait(), p.Wait()
		if got.Status != want.Status || !slices.Equal(p.frames(), like[i].frames()) || len(p.frames()) < frames {
			t.Errorf("%s: %v, %d frames; undisturbed %v, %d frames", p.name, got, len(p.frames()), want, len(like[i].frames()))
		}
	}
	if len(servers["wwan0"].Requests()) == 0 {
		t.Error("no segment has gone on at the other server")
	}
	t.Logf("natively %v, %d frames of %d", lost.Wait(), len(lost.frames()), frames)
}

// A segment that has failed after its first octet, and that no server has, ends as natively: the other server's has the same length.
func TestASegmentThatNobodyHasEndsAsNatively(t *testing.T) {
	l := lab.New(t, lab.Net("wlan0", lab.Link{}), lab.Net("wwan0", lab.Link{}))
	l.Configure("[migration]\nproof = \"whole\"\n[failover]\npatience = \"2s\"\n")
	film := make([]byte, 400_000)
	for i := range film {
		film[i] = byte(i * i >> 8)
	}
	other := bytes.Clone(film)
	other[3]++
	var first *lab.Server
	for i, n := range l.Networks() {
		n.DNS(map[string][]string{listHost: {n.Content()}})
		file := filepath.Join(t.TempDir(), "a.ts")
		if err := os.WriteFile(file, [][]byte{film, other}[i], 0o644); err != nil {
			t.Fatal(err)
		}
		then := time.Now().Add(-time.Duration(i) * time.Hour)
		if err := os.Chtimes(file, then, then); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			first = n.Paced(filepath.Dir(file), lab.ServerOptions{LimitRate: listPace})
		} else {
			n.Apache(filepath.Dir(file), lab.ServerOptions{})
		}
	}
	args := []string{"curl", "-sSo", "out", "http://" + listHost + "/a.ts"}
	native, under := l.Command(args...), l.Midstream(args...)
	native.Dir, under.Dir = t.TempDir(), t.TempDir()
	native.Start()
	under.Start()
	l.Await("its middle", lab.Patience, func() bool {
		for _, s := range sessions(t, l) {
			return s.Received > 100_000
		}
		return false
	})
	first.Kill()
	was, is := native.Wait(), under.Wait()
	got, err := os.ReadFile(filepath.Join(under.Dir, "out"))
	if err != nil {
		t.Fatal(err)
	}
	if was.Status != is.Status || is.Status == 0 || len(got) < 100_000 || len(got) == len(film) || !bytes.Equal(got, film[:len(got)]) {
		t.Errorf("%v, %d octets; natively %v", is, len(got), was)
	}
}
