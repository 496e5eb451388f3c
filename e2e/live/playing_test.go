// A film in play time: a download is moved before its player runs dry.

package live

import (
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"midstream/e2e/lab"
)

func TestAFilmMovesBeforeItsPlayerRunsDry(t *testing.T) {
	l, root := lab.New(t, lab.Net("wlan0", lab.Link{}), lab.Net("wwan0", lab.Link{})), t.TempDir()
	makeFilms(t, root)
	for i, n := range l.Networks() {
		n.DNS(map[string][]string{listHost: {n.Content()}})
		// A player needs 150 kB for a second: of the first network's server it gets three at once, and then half a second for each.
		n.Nginx(root, lab.ServerOptions{LimitRate: []int64{75_000, 0}[i], Extra: "limit_rate_after 450k; sendfile_max_chunk 32k;"})
	}
	l.Configure("[policy]\ndwell = \"0s\"\n[[policy.rules]]\nwhen = 'session.buffer < 2 && session.received > 400_000'\nuse = \"wwan0\"\n")
	p := l.Midstream("ffplay", "-nostats", "-loglevel", "error", "-an", "-infbuf", "-autoexit", "-seekable", "0", "http://"+listHost+"/film.ts")
	p.Env = append(p.Env, "SDL_VIDEODRIVER=dummy", "HOME="+t.TempDir())
	p.Start()
	var before, after listed
	l.Await("it to have been moved", lab.Patience, func() bool {
		select {
		case <-p.Ended():
			t.Fatalf("it has ended: %v", p.Wait())
		default:
		}
		for _, s := range sessions(t, l) {
			switch {
			case len(s.Migrations) > 0:
				after = s
			case s.Play != nil && s.Play.BufferS != nil && s.Received > 400_000:
				before = s
			}
		}
		return after.ID != ""
	})
	if m := after.Migrations[0]; m.Trigger != "rule" || m.To.Interface != "wwan0" {
		t.Errorf("%+v", m)
	}
	if before.Play == nil {
		t.Fatal("it was moved before anything was known of it")
	}
	t.Logf("%d octets, %.1f s, of which %.1f s were left", before.Received, before.Play.HandedS, *before.Play.BufferS)
	if want := float64(before.Received) / 150_000; before.Play.HandedS < want-2 || before.Play.HandedS > want+0.5 || *before.Play.BufferS <= 0 {
		t.Error("that is not so")
	}
	p.Process.Signal(syscall.SIGTERM)
	p.Wait()
}

// makeFilms makes eight seconds of a film, of 150 kB each.
func makeFilms(t *testing.T, root string) {
	t.Helper()
	out, err := exec.Command("ffmpeg", "-nostdin", "-loglevel", "error", "-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25", "-t", "8", "-c:v", "libx264",
		"-preset", "ultrafast", "-b:v", "1150k", "-minrate", "1150k", "-maxrate", "1150k", "-bufsize", "300k", "-x264-params", "nal-hrd=cbr", "-g", "25",
		"-f", "mpegts", filepath.Join(root, "film.ts")).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}
