// Old SHOUTcast servers, which answer "ICY 200 OK" instead of HTTP: players take that for HTTP/1.0.

package live

import (
	"bufio"
	"bytes"
	"net"
	"net/http"
	"os/exec"
	"testing"
	"time"

	"midstream/e2e/lab"
)

func TestAStationThatSpeaksNoHTTP(t *testing.T) {
	s := &site{Lab: lab.New(t), t: t}
	sound := make30(t)
	begun := time.Now()
	now := func() int { return min(len(sound), burst+rate+int(time.Since(begun).Seconds()*rate)) }
	die := make(chan struct{})
	for i, n := range s.Networks() {
		n.DNS(map[string][]string{host: {n.Content()}})
		n.Answer(t, n.Content(), "80", func(conn net.Conn) {
			if _, err := http.ReadRequest(bufio.NewReader(conn)); err != nil {
				return
			}
			at := max(0, now()-burst)
			if _, err := conn.Write([]byte("ICY 200 OK\r\nicy-notice1:<BR>lab<BR>\r\nicy-name:lab\r\nicy-br:128\r\ncontent-type:audio/mpeg\r\n\r\n")); err != nil {
				return
			}
			for at < len(sound) {
				next := now()
				if _, err := conn.Write(sound[at:next]); err != nil {
					return
				}
				at = next
				select {
				case <-time.After(50 * time.Millisecond):
				case <-s.dies(i, die):
					return
				}
			}
		})
	}
	s.station = &lab.Station{Sound: sound}
	all := []*listener{
		s.listener(true, "ffmpeg", 0, "ffmpeg", "-nostdin", "-loglevel", "error", "-i", "URL", "-c", "copy", "-flush_packets", "1", "-write_xing", "0", "-id3v2_version", "0", "-f", "mp3", "out"),
		s.listener(true, "curl", 0, "curl", "-sSN", "--http0.9", "-o", "out", "URL"),
	}
	if _, err := exec.LookPath("mpg123"); err == nil {
		all = append(all, s.listener(true, "mpg123", 0, "mpg123", "-q", "-t", "--streamdump", "out", "URL"))
	}
	for _, l := range all {
		l.reaches(int64(now()) - rate)
	}
	close(die)
	struck := int64(now())
	for _, l := range all {
		l.reaches(struck + rate)
		if moved := l.migrations(); len(moved) != 1 {
			t.Errorf("%s: %+v", l.name, moved)
		}
	}
	for _, l := range all {
		l.Process.Kill()
		l.Wait()
		had, _ := l.out()
		// curl takes the head for content, as HTTP/0.9 has none.
		if _, behind, found := bytes.Cut(had, []byte("\r\n\r\n")); found && bytes.HasPrefix(had, []byte("ICY ")) {
			had = behind
		}
		if !bytes.Contains(sound, had) || len(had) < burst+rate {
			t.Errorf("%s: %d octets are not one piece of the station's", l.name, len(had))
		}
	}
}

// dies is when the first network's server ends.
func (s *site) dies(network int, when <-chan struct{}) <-chan struct{} {
	if network == 0 {
		return when
	}
	return nil
}
