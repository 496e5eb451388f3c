package live

import (
	"bytes"
	"testing"
	"testing/iotest"
)

// page is one of Ogg's, with that much in it.
func page(flags byte, granule uint64, body []byte) []byte {
	p := append([]byte("OggS\x00"), flags)
	for range 8 {
		p, granule = append(p, byte(granule)), granule>>8
	}
	p = append(p, make([]byte, 12)...)
	lacing := bytes.Repeat([]byte{255}, len(body)/255)
	lacing = append(lacing, byte(len(body)%255))
	return append(append(append(p, byte(len(lacing))), lacing...), body...)
}

func pages(sound []byte) (out []byte) {
	for i := 0; i < len(sound); i += 4000 {
		out = append(out, page(0, uint64(i)+1, sound[i:min(i+4000, len(sound))])...)
	}
	return out
}

func frames128(n int, seed uint64) (out []byte) {
	for i := range n {
		frame := noise(417, seed+uint64(i))
		copy(frame, "\xff\xfb\x90\x00")
		out = append(out, frame...)
	}
	return out
}

func TestWhereAFrameBegins(t *testing.T) {
	adts := bytes.Repeat(append([]byte{0xff, 0xf1, 0x50, 0x80, 0x0c, 0x9f, 0xfc}, make([]byte, 93)...), 5)
	for _, test := range []struct {
		kind string
		p    []byte
		want int
	}{
		{"audio/mpeg", append([]byte("\xff\xfb\x00 not a frame"), frames128(5, 1)...), 15},
		{"audio/mpeg", frames128(3, 1)[:1200], -1},
		{"audio/mpeg", noise(3000, 4), -1},
		{"audio/aac", adts, 0},
		{"audio/aacp", append([]byte{1, 2, 3}, adts...), 3},
		{"video/mp2t", append([]byte{0x47, 1}, bytes.Repeat(append([]byte{0x47}, make([]byte, 187)...), 4)...), 2},
		{"application/ogg", page(2, 0, []byte("x")), 0},
		{"application/ogg", page(0, 7, []byte("x")), -1},
		{"audio/flac", frames128(5, 1), -1},
		{"audio/mpeg", nil, -1},
	} {
		if got := boundary(test.kind, test.p); got != test.want {
			t.Errorf("%s: %d, want %d", test.kind, got, test.want)
		}
	}
}

// In Ogg, every listener is sent the headers first, and then what is there: only that is the stream's.
func TestAnOggStreamGoesOnWithoutItsHeaders(t *testing.T) {
	head := append(page(2, 0, []byte("\x01vorbis")), page(0, 0, noise(3000, 7))...)
	sound := pages(noise(200_000, 1))
	content := append(bytes.Clone(head), sound...)
	p := program(content, 0, 100_000)
	p.Type = "application/ogg"
	theirs := append(bytes.Clone(head), sound[60_000:]...)
	s, err := Find(p, 100_000, NewUntitled(iotest.HalfReader(bytes.NewReader(theirs)), 0), atHand)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Begin(101_000); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 50_000)
	if _, err := s.Read(got[:1]); err != nil || got[0] != content[101_000] {
		t.Errorf("it goes on with %x, %v", got[0], err)
	}
}

// Only who may be handed a gap is, and only where a frame begins.
func TestAGap(t *testing.T) {
	had, theirs := frames128(200, 1), append([]byte("rest"), frames128(400, 1000)...)
	for _, test := range []struct {
		gaps bool
		kind string
		err  error
	}{{true, "audio/mpeg", nil}, {false, "audio/mpeg", ErrNoOverlap}, {true, "audio/flac", ErrNoOverlap}} {
		p := program(had, 0, 50_000)
		p.Type, p.Gaps = test.kind, test.gaps
		s, err := Find(p, 50_000, NewUntitled(bytes.NewReader(theirs), 0), atHand)
		if err != test.err {
			t.Errorf("%+v: %v", test, err)
		}
		if err != nil {
			continue
		}
		if err := s.Begin(50_000); err != nil || !s.Gap() {
			t.Errorf("%v, gap: %t", err, s.Gap())
		}
		got := make([]byte, 417)
		if n, err := s.Read(got); err != nil || !bytes.Equal(got[:n], theirs[4:4+n]) {
			t.Errorf("%v, % x", err, got[:4])
		}
	}
	// The old connection has gone on after all.
	p := program(had, 0, 51_000)
	p.Type, p.Gaps = "audio/mpeg", true
	s, err := Find(program(had, 0, 50_000), 50_000, NewUntitled(bytes.NewReader(theirs), 0), atHand)
	if err == nil {
		t.Fatal("a gap that nobody allows")
	}
	if s, err = Find(p, 50_000, NewUntitled(bytes.NewReader(theirs), 0), atHand); err != nil {
		t.Fatal(err)
	}
	if err := s.Begin(51_000); err == nil {
		t.Error("it goes on behind a gap that is none")
	}
}

func FuzzFrames(f *testing.F) {
	f.Add([]byte("OggS\x00\x02"), 1)
	f.Add(frames128(4, 1), 0)
	f.Fuzz(func(t *testing.T, p []byte, which int) {
		kinds := []string{"audio/mpeg", "audio/aac", "video/mp2t", "audio/ogg"}
		kind := kinds[uint(which)%4]
		if at := boundary(kind, p); at < -1 || at >= len(p) && at > 0 {
			t.Errorf("%s: at %d of %d", kind, at, len(p))
		}
		if n := headers(kind, p); n < 0 || n > len(p) {
			t.Errorf("%s: %d octets of headers in %d", kind, n, len(p))
		}
	})
}
