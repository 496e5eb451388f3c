package playtime

import (
	"bytes"
	"encoding/binary"
	"testing"
	"time"
)

// stamped is a packet of MPEG-TS in which a PES packet begins, with that PTS.
func stamped(stream byte, pts int64) []byte {
	p := bytes.Repeat([]byte{0xff}, packet)
	copy(p, []byte{syncByte, 0x40, 0x10, 0x10, 0, 0, 1, stream, 0, 0, 0x80, 0x80, 5,
		0x21 | byte(pts>>30&7)<<1, byte(pts >> 22), byte(pts>>14) | 1, byte(pts >> 7), byte(pts<<1) | 1})
	return p
}

// clocked is a packet with a PCR alone.
func clocked(base int64) []byte {
	p := bytes.Repeat([]byte{0xff}, packet)
	copy(p, []byte{syncByte, 0, 0x20, 0x20, 183, 0x10, byte(base >> 25), byte(base >> 17), byte(base >> 9), byte(base >> 1), byte(base << 7), 0})
	return p
}

func atom(kind string, parts ...[]byte) []byte {
	b := append(make([]byte, 4), kind...)
	for _, p := range parts {
		b = append(b, p...)
	}
	binary.BigEndian.PutUint32(b, uint32(len(b)))
	return b
}

func words(n ...uint32) (b []byte) {
	for _, w := range n {
		b = binary.BigEndian.AppendUint32(b, w)
	}
	return b
}

// moov has a track of so many units a second, whose samples last so long.
func moov(track, units, sample uint32) []byte {
	return atom("moov", atom("trak", atom("tkhd", words(0, 0, 0, track, 0, 0)), atom("mdia", atom("mdhd", words(0, 0, 0, units, 0, 0)))),
		atom("mvex", atom("trex", words(0, track, 1, sample, 0, 0))))
}

// moof begins a fragment at that time: 50 samples, which last as long as each says, or as is said elsewhere.
func moof(track uint32, at uint64, each uint32) []byte {
	run := words(0, 50)
	if each > 0 {
		run = words(0x100, 50)
		for range 50 {
			run = append(run, words(each)...)
		}
	}
	return atom("moof", atom("mfhd", words(0, 1)), atom("traf", atom("tfhd", words(0, track)), atom("tfdt", words(1<<24, uint32(at>>32), uint32(at))), atom("trun", run)))
}

// seen feeds octets as they are looked at, in steps, and returns what is known of them in the end.
func seen(octets []byte, step int, s *scales) (begins, reaches time.Duration, ok bool) {
	f := film{scales: s}
	for end := min(step, len(octets)); ; end = min(end+step, len(octets)) {
		if f.from == 0 && end > window {
			f.feed(octets[:beginning], beginning)
		}
		f.feed(octets[max(f.from, int64(end-window)):end], int64(end))
		if end == len(octets) {
			break
		}
	}
	if f.format == nil {
		return 0, 0, false
	}
	reaches, ok = f.format.reaches(int64(len(octets)))
	return f.format.begins(), reaches, ok
}

func TestTimeStampsAreRead(t *testing.T) {
	filler := bytes.Repeat(clocked(0), 3)
	video := func(n ...int64) (b []byte) {
		for _, pts := range n {
			b = append(append(b, stamped(0xe0, pts)...), filler...)
		}
		return b
	}
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	for name, x := range map[string]struct {
		octets          []byte
		begins, reaches time.Duration
	}{
		"frames in another order":       {video(90_000, 270_000, 180_000), time.Second, 3 * time.Second},
		"sound, of which there is more": {join(video(90_000, 180_000), stamped(0xc0, 900_000)), time.Second, 2 * time.Second},
		"sound alone":                   {join(stamped(0xc0, 90_000), stamped(0xc0, 45_000), stamped(0xbd, 180_000), filler), time.Second, 2 * time.Second},
		"the clock alone":               {bytes.Repeat(clocked(90_000), 6), time.Second, time.Second},
		"over the end of 33 bits":       {video(wrap-90_000, 90_000), stamp(wrap - 90_000), 0},
		"from the middle of a packet":   {join(filler[100:188], video(90_000, 180_000)), time.Second, 2 * time.Second},
		"a fragment":                    {join(atom("styp", words(0)), moov(1, 1000, 40), moof(1, 5000, 0), atom("mdat", make([]byte, 1000))), 5 * time.Second, 7 * time.Second},
		"samples that say how long":     {join(moov(1, 1000, 7), moof(1, 5000, 20), atom("mdat", make([]byte, 100_000))), 5 * time.Second, 6 * time.Second},
		"two fragments":                 {join(moov(1, 1000, 40), moof(1, 5000, 0), atom("mdat", make([]byte, 300_000)), moof(1, 7000, 0), atom("mdat", nil)), 5 * time.Second, 9 * time.Second},
		"an index":                      {join(atom("sidx", words(0, 1, 500, 0, 0)), moof(1, 5000, 20), atom("mdat", nil)), 10 * time.Second, 12 * time.Second},
		"half a fragment":               {join(moov(1, 1000, 40), moof(1, 5000, 0), words(1_000_000_008), []byte("mdat"))[:], 5 * time.Second, 5 * time.Second},
	} {
		if x.reaches == 0 {
			x.reaches = x.begins + 2*time.Second
		}
		for _, step := range []int{len(x.octets), 1000, 40_000} {
			if step < 4*packet+1 {
				continue
			}
			begins, reaches, ok := seen(x.octets, step, &scales{})
			if !ok || (begins-x.begins).Abs() > time.Millisecond || (reaches-x.reaches).Abs() > time.Millisecond {
				t.Errorf("%s, in steps of %d: %v to %v, %t; not %v to %v", name, step, begins, reaches, ok, x.begins, x.reaches)
			}
		}
	}
}

func TestATrackOfWhichFilesContradictEachOtherTellsNothing(t *testing.T) {
	var s scales
	for _, units := range []uint32{1000, 1000} {
		seen(moov(1, units, 40), 1000, &s)
	}
	if _, reaches, ok := seen(append(moof(1, 5000, 0), atom("mdat", nil)...), 1000, &s); !ok || reaches != 7*time.Second {
		t.Errorf("%v %t", reaches, ok)
	}
	seen(moov(1, 44_100, 40), 1000, &s)
	if _, _, ok := seen(append(moof(1, 5000, 0), atom("mdat", nil)...), 1000, &s); ok {
		t.Error("a time of nobody knows which track")
	}
}

// underway is one of which more is to come.
type underway struct{ source }

func (underway) Over() bool { return false }

// source is a download that has been read to its end, or not.
type source bool

func (source) Received() int64        { return 0 }
func (source) Tail(int64, int) []byte { return nil }
func (source) Over() bool             { return true }
func (s source) Done() bool           { return bool(s) }

// segment has been handed over, from one of the film's times to another, beginning then.
func (c *Clock) segment(url string, began time.Time, from, to time.Duration) {
	c.begin(c.line(url), source(true), url, began, began, from)
	c.note(c.line(url), began.Add(time.Millisecond), began, to)
}

func TestAPlayersBuffer(t *testing.T) {
	at := time.Unix(1000, 0)
	s := func(n float64) time.Duration { return time.Duration(n * float64(time.Second)) }
	for name, x := range map[string]struct {
		do             func(c *Clock)
		after          time.Duration
		handed, buffer time.Duration
	}{
		"one segment": {func(c *Clock) { c.segment("a/0.ts", at, s(10), s(16)) }, s(2), s(6), s(4)},
		"several": {func(c *Clock) {
			for i := range 5 {
				c.segment("a/"+string(rune('0'+i))+".ts", at.Add(s(float64(i))), s(float64(6*i)), s(float64(6*i+6)))
			}
		}, s(10), s(30), s(20)},
		"a list that loops": {func(c *Clock) {
			for i := range 4 {
				c.segment("a/0.ts", at.Add(s(float64(i))), 0, s(6))
			}
		}, s(4), s(24), s(20)},
		"segments too fast to see": {func(c *Clock) { c.segment("a/0.ts", at, 0, s(6)); c.segment("a/5.ts", at.Add(s(1)), s(30), s(36)) }, s(1), s(36), s(35)},
		"sound beside it": {func(c *Clock) {
			c.segment("a/v0.m4s", at, 0, s(6))
			c.segment("a/s0.m4s", at, 0, s(6))
			c.segment("a/s1.m4s", at, s(6), s(12))
			c.segment("a/v1.m4s", at, s(6), s(12))
		}, s(2), s(12), s(10)},
		"another quality":          {func(c *Clock) { c.segment("a/hi-0.ts", at, 0, s(6)); c.segment("a/lo-1.ts", at.Add(s(1)), s(6), s(12)) }, s(2), s(12), s(10)},
		"another film":             {func(c *Clock) { c.segment("b/0.ts", at, 0, s(60)); c.segment("a/0.ts", at, 0, s(6)) }, s(2), s(6), s(4)},
		"a player that has waited": {func(c *Clock) { c.segment("a/0.ts", at, 0, s(2)); c.segment("a/1.ts", at.Add(s(10)), s(2), s(8)) }, s(11), s(8), s(5)},
		"one that was paused": {func(c *Clock) {
			c.segment("a/0.ts", at, 0, s(6))
			c.Full("a/0.ts", at.Add(s(2)))
			c.segment("a/1.ts", at.Add(s(30)), s(6), s(12))
		}, s(30), s(12), s(10)},
		"one that fills up now and then": {func(c *Clock) {
			c.segment("a/0.ts", at, 0, s(30))
			c.Full("a/0.ts", at.Add(s(10)))
			c.segment("a/1.ts", at.Add(s(20)), s(30), s(36))
		}, s(20), s(36), s(16)},
		"a player that goes to another place": {func(c *Clock) {
			l := c.line("a/0.mp4")
			for i, from := range []float64{0, 10, 20, 0} { // it looks for the fragments first
				c.begin(l, source(false), "a/0.mp4", at.Add(s(float64(i))), at.Add(s(float64(i))), s(from))
				c.note(l, at.Add(s(float64(i)+0.1)), at.Add(s(float64(i))), s(from+5))
			}
		}, s(4), s(5), s(4)},
		"one that fetches ahead": {func(c *Clock) {
			l := c.line("a/0.ts")
			ahead, first := underway{}, underway{true}
			for _, x := range []struct {
				s        Source
				from, to float64
			}{{&ahead, 6, 6.2}, {&first, 0, 2}, {&ahead, 6, 6.2}, {&first, 0, 4}} {
				if c.takes(l, x.s, s(x.from)) {
					if !c.has(l, x.s) {
						c.begin(l, x.s, "a/"+string(rune('0'+int(x.from)))+".ts", at, at, s(x.from))
					}
					c.note(l, at, at, s(x.to))
				}
			}
		}, s(1), s(4), s(3)},
		"one that goes on where it was": {func(c *Clock) {
			l := c.line("a/0.mp4")
			for i := range 3 {
				c.begin(l, source(false), "a/0.mp4", at.Add(s(float64(i))), at.Add(s(float64(i))), s(5*float64(i)))
				c.note(l, at.Add(s(float64(i)+0.1)), at.Add(s(float64(i))), s(5*float64(i+1)))
			}
		}, s(4), s(15), s(11)},
		"the next film in the same place": {func(c *Clock) { c.segment("a/0.ts", at, 0, s(6)); c.segment("a/0.ts", at.Add(s(600)), 0, s(6)) }, s(602), s(6), s(4)},
	} {
		var c Clock
		x.do(&c)
		is, ok := c.Play("a/9.ts", at.Add(x.after))
		if !ok || (is.Handed-x.handed).Abs() > s(0.1) || (is.Buffer-x.buffer).Abs() > s(0.1) || is.Full {
			t.Errorf("%s: %+v %t, not %v and %v", name, is, ok, x.handed, x.buffer)
		}
	}
}

func TestItsMemoryIsBounded(t *testing.T) {
	var c Clock
	for i := range 100 {
		for j := range 100 {
			c.line(string(rune('a'+i)) + "/x" + string(rune('a'+j)))
		}
	}
	if len(c.films) != maxFilms || len(c.films[0].lines) != maxLines {
		t.Errorf("%d films, %d lines", len(c.films), len(c.films[0].lines))
	}
}

func TestWhatMayBeAFilm(t *testing.T) {
	for kind, is := range map[string]bool{"video/mp2t": true, "Video/MP4; codecs=x": true, "audio/mp4": true, "application/octet-stream": false, "text/html": false, "": false} {
		if Possible(kind, "http://a/b.html") != is {
			t.Errorf("%q: %t", kind, !is)
		}
	}
	if !Possible("application/octet-stream", "http://a/b.TS?x=y.iso") || Possible("", "http://a/b.iso?x.ts") {
		t.Error("by the URL")
	}
}

func FuzzFilm(f *testing.F) {
	f.Add(bytes.Join([][]byte{stamped(0xe0, 1), clocked(2), stamped(0xc0, 3), stamped(0xe0, wrap-1), clocked(4)}, nil), 800)
	f.Add(bytes.Join([][]byte{atom("styp", nil), moov(1, 1000, 40), moof(1, 5000, 0), atom("mdat", make([]byte, 10)), moof(1, 1<<63, 3)}, nil), 100)
	f.Add(append(words(1), []byte("moof\xff\xff\xff\xff\xff\xff\xff\xff")...), 7)
	f.Fuzz(func(t *testing.T, octets []byte, step int) {
		if step < 1 || len(octets) == 0 || len(octets)/step > 1000 {
			return
		}
		f := film{scales: &scales{}}
		for end := min(step, len(octets)); ; end = min(end+step, len(octets)) {
			if from := max(f.from, int64(end-window)); from < int64(end) {
				f.feed(octets[from:end], int64(end))
			}
			if f.format != nil {
				if at, ok := f.format.reaches(int64(end)); ok && (at < 0 && f.format.begins() >= 0) {
					t.Fatalf("it reaches %v", at)
				}
			}
			if end == len(octets) {
				break
			}
		}
	})
}

func BenchmarkLook(b *testing.B) {
	octets := bytes.Repeat(append(stamped(0xe0, 90_000), bytes.Repeat(clocked(0), 30)...), 11)
	b.SetBytes(int64(len(octets)))
	for b.Loop() {
		(&transport{}).feed(octets, 0)
	}
}
