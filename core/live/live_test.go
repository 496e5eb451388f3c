package live

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"
	"testing/iotest"

	"midstream/core/http1"
)

// noise is sound of which no two pieces are alike.
func noise(n int, seed uint64) []byte {
	b := make([]byte, n)
	random := rand.New(rand.NewPCG(seed, 2))
	for i := range b {
		b[i] = byte(random.Uint32())
	}
	return b
}

// titled is the sound from octet `from` on as a server sends it that puts titles after every octets; titles[n] is the one that holds from
// octet n*1000 of the sound on.
func titled(sound []byte, from, every int, titles func(at int) string) []byte {
	if every == 0 {
		return sound[from:]
	}
	var out []byte
	last := ""
	for at := from; at < len(sound); {
		n := min(every, len(sound)-at)
		out = append(out, sound[at:at+n]...)
		if at += n; n < every {
			break
		}
		title := titles(at)
		if title == last {
			out = append(out, 0)
			continue
		}
		last = title
		out = append(out, block(title)...)
	}
	return out
}

func block(title string) []byte {
	text := []byte("StreamTitle='" + title + "';")
	n := (len(text) + unit - 1) / unit
	return append(append([]byte{byte(n)}, text...), make([]byte, n*unit-len(text))...)
}

func song(at int) string { return fmt.Sprintf("song %d", at/30000) }

// arrivals are those of a server whose octets are all there, or come one by one.
type arrivals struct{ more, late bool }

func (a arrivals) More() bool { return a.more }
func (a arrivals) Late() bool { return a.late }

var atHand, nothingMore, late = arrivals{more: true}, arrivals{}, arrivals{late: true}

// program is one that has been handed content up to at, and goes on being handed it.
func program(content []byte, every int, at int64) Program {
	t := NewTrack(every)
	for end := int64(0); end < at; {
		end = min(end+1000, at)
		t.Feed(content[max(0, end-Window):end], end)
	}
	return Program{Track: t, Tail: func(end int64, limit int) []byte {
		return content[max(0, end-int64(min(limit, Window))):end]
	}}
}

// plain takes the titles out of what a program with that phase is handed from its offset at on, and returns them as well.
func plain(t *testing.T, whole []byte, every int) (sound []byte, all []string) {
	t.Helper()
	u := NewUntitled(bytes.NewReader(whole), every)
	for {
		b := make([]byte, 777)
		n, err := u.Read(b)
		sound = append(sound, b[:n]...)
		if title := u.take(0); len(title) > 1 {
			all = append(all, string(bytes.TrimRight(title[1:], "\x00")))
		}
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return sound, all
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// Whatever titles either side has, and wherever the program stands: what it is handed before and after is one stream.
func TestASpliceIsExact(t *testing.T) {
	sound := noise(400_000, 1)
	random := rand.New(rand.NewPCG(3, 4))
	for _, every := range []int{0, 8192, 16000, 1024} {
		for _, theirs := range []int{0, 8192, 4000} {
			for range 6 {
				content := titled(sound, 0, every, song)
				p := program(content, every, 0)
				at := int64(5000 + random.IntN(200_000))
				p.Feed(content[:at], at)
				if _, _, missing := p.place(); missing > 0 {
					continue // in a title: TestAPlaceInATitle
				}
				stood := len(p.Sound(content[:at], at))
				from := max(0, stood-4500-random.IntN(60_000))
				source := NewUntitled(iotest.HalfReader(bytes.NewReader(titled(sound, from, theirs, song))), theirs)
				s, err := Find(p, at, source, atHand)
				if err != nil {
					t.Fatalf("titles every %d and %d, at %d: %v", every, theirs, at, err)
				}
				// The old connection has delivered a little more meanwhile.
				later := at + int64(random.IntN(5000))
				p.Feed(content[:later], later)
				if _, _, missing := p.place(); missing > 0 {
					later = at
					s.p.Track = program(content, every, at).Track
				}
				if err := s.Begin(later); err != nil {
					t.Fatalf("titles every %d and %d, at %d, begun at %d: %v", every, theirs, at, later, err)
				}
				rest, err := io.ReadAll(iotest.OneByteReader(s))
				if err != nil {
					t.Fatal(err)
				}
				got, titles := plain(t, append(bytes.Clone(content[:later]), rest...), every)
				if !bytes.HasPrefix(sound, got) || len(got) < len(sound)-every {
					t.Fatalf("titles every %d and %d, at %d, begun at %d: %d octets, not those of the stream", every, theirs, at, later, len(got))
				}
				if every > 0 && theirs > 0 && len(titles) < 300_000/30_000 {
					t.Errorf("titles %q", titles)
				}
			}
		}
	}
}

// In a title it goes on only with the new server's of the same words.
func TestAPlaceInATitle(t *testing.T) {
	sound := noise(100_000, 1)
	const every = 8192
	content := titled(sound, 0, every, func(int) string { return "one" })
	at := int64(every + 15) // in the only one's words
	for _, test := range []struct {
		title string
		err   error
	}{{"one", nil}, {"two", ErrInTitle}, {"one, and more than has room there", ErrInTitle}} {
		p := program(content, every, at)
		theirs := titled(sound, every-6000, 3000, func(int) string { return test.title })
		s, err := Find(p, at, NewUntitled(bytes.NewReader(theirs), 3000), atHand)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Begin(at); err != test.err {
			t.Errorf("title %q: %v, want %v", test.title, err, test.err)
		}
		if test.err != nil {
			continue
		}
		rest, _ := io.ReadAll(s)
		got, _ := plain(t, append(bytes.Clone(content[:at]), rest...), every)
		if !bytes.HasPrefix(sound, got) || len(got) < len(sound)-every {
			t.Errorf("title %q: another stream", test.title)
		}
	}
}

// What cannot be told is not guessed.
func TestWhatIsRefused(t *testing.T) {
	sound := noise(300_000, 1)
	again := append(bytes.Clone(sound[:60_000]), sound[20_000:]...) // an announcement that is sent twice
	silence := bytes.Repeat(noise(417, 5), 300)
	for _, test := range []struct {
		name   string
		had    []byte
		theirs []byte
		err    error
	}{
		{"the outage was longer than the burst", sound[:100_000], sound[120_000:], ErrNoOverlap},
		{"another station", sound[:100_000], noise(300_000, 9), ErrNoOverlap},
		{"a place that is there twice", sound[20_000:60_000], again, ErrSeveral},
		{"one of them alone is behind all that was received", sound[:60_000], again, nil},
		{"silence", silence[:100_000], silence, ErrSeveral},
		{"hardly anything received", sound[:1000], sound, ErrLittle},
		{"an advertisement before the same piece", append(noise(50_000, 7), sound[:10_000]...), sound[2000:], ErrDiffers},
	} {
		p := program(test.had, 0, int64(len(test.had)))
		_, err := Find(p, int64(len(test.had)), NewUntitled(bytes.NewReader(test.theirs), 0), atHand)
		if test.name == "an advertisement before the same piece" {
			if err != nil {
				t.Errorf("%s: %v", test.name, err)
			}
			continue // the new one begins within the piece: nothing differs
		}
		if err != test.err {
			t.Errorf("%s: %v, want %v", test.name, err, test.err)
		}
	}
	// What comes before the place differs.
	had := append(noise(20_000, 7), sound[:10_000]...)
	theirs := append(noise(20_000, 8), sound...)
	if _, err := Find(program(had, 0, int64(len(had))), int64(len(had)), NewUntitled(bytes.NewReader(theirs), 0), atHand); err != ErrDiffers {
		t.Errorf("another piece before it: %v", err)
	}
	// What the program is handed meanwhile differs.
	p := program(append(bytes.Clone(sound[:50_000]), noise(1000, 6)...), 0, 50_000)
	s, err := Find(p, 50_000, NewUntitled(bytes.NewReader(sound[10_000:]), 0), atHand)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Begin(51_000); err != ErrDiffers {
		t.Errorf("another stream meanwhile: %v", err)
	}
}

// A piece that is sent again and again, as a station's jingle, is no place where something else stands before it: what comes is looked through
// for the one behind which the program stands.
func TestAPieceThatIsSentAgain(t *testing.T) {
	jingle, sound := noise(12_000, 4), noise(100_000, 1)
	had := append(bytes.Clone(sound[:40_000]), jingle...)
	theirs := append(append(append(noise(25_000, 8), jingle...), had...), sound[40_000:]...)
	s, err := Find(program(had, 0, int64(len(had))), int64(len(had)), NewUntitled(bytes.NewReader(theirs), 0), atHand)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Begin(int64(len(had))); err != nil {
		t.Fatal(err)
	}
	if rest, _ := io.ReadAll(s); !bytes.Equal(rest, sound[40_000:]) {
		t.Errorf("%d octets", len(rest))
	}
}

// A station's welcome, with which every connection begins, is left out, if it is the one that the program has had.
func TestAWelcome(t *testing.T) {
	welcome, sound := noise(30_000, 4), noise(200_000, 1)
	had := append(bytes.Clone(welcome), sound[:120_000]...)
	for _, test := range []struct {
		name   string
		first  []byte
		theirs []byte
		err    error
	}{
		{"the same", had[:Window], append(bytes.Clone(welcome), sound[70_000:]...), nil},
		{"another one", had[:Window], append(noise(30_000, 5), sound[70_000:]...), ErrDiffers},
		{"the same before another station", had[:Window], append(bytes.Clone(welcome), noise(200_000, 6)...), ErrNoOverlap},
		{"not known", nil, append(bytes.Clone(welcome), sound[70_000:]...), ErrDiffers},
		{"none, and what the program has begun with", sound[70_000:110_000], sound[70_000:], nil},
	} {
		p := program(had, 0, int64(len(had)))
		p.First = test.first
		s, err := Find(p, int64(len(had)), NewUntitled(bytes.NewReader(test.theirs), 0), atHand)
		if err != test.err {
			t.Errorf("%s: %v, want %v", test.name, err, test.err)
		}
		if err != nil {
			continue
		}
		if err := s.Begin(int64(len(had))); err != nil {
			t.Fatal(err)
		}
		if rest, _ := io.ReadAll(s); !bytes.HasPrefix(sound[120_000:], rest) || len(rest) < 50_000 {
			t.Errorf("%s: %d octets", test.name, len(rest))
		}
	}
}

// Before anything is done to a connection that goes on, it is known where the program will stand in no title; where it has ended amid one,
// whether that can be finished.
func TestWhereAProgramCanBeMet(t *testing.T) {
	sound := noise(100_000, 1)
	const every = 8192
	content := titled(sound, 0, every, func(int) string { return "one" })
	end := int64(every) + int64(len(block("one")))
	for _, test := range []struct {
		at, lead int64
		title    string
		want     int64
		err      error
	}{
		{every - 3000, 1000, "two", every - 2000, nil},
		{every - 500, 1000, "two", every, nil},
		{every + 15, 1000, "two", end, nil},
		{every + 15, Nothing, "one", every + 15, nil},
		{every + 15, Nothing, "two", 0, ErrInTitle},
		{end + 500, Nothing, "two", end + 500, nil},
	} {
		p := program(content, every, test.at)
		source := NewUntitled(bytes.NewReader(titled(sound, 500, 3000, func(int) string { return test.title })), 3000)
		s, err := Find(p, test.at, source, atHand)
		if err != nil {
			t.Fatal(err)
		}
		at, err := s.Meet(test.at, test.lead)
		if err != test.err || err == nil && at != test.want {
			t.Errorf("at %d, lead %d: %d, %v, want %d, %v", test.at, test.lead, at, err, test.want, test.err)
		}
		if err != nil {
			continue
		}
		if err := s.Begin(at); err != nil {
			t.Fatal(err)
		}
		rest, _ := io.ReadAll(s)
		if got, _ := plain(t, append(bytes.Clone(content[:at]), rest...), every); !bytes.HasPrefix(sound, got) || len(got) < len(sound)-every {
			t.Errorf("at %d: another stream", at)
		}
	}
}

// A relay that lags behind is waited for.
func TestAServerThatIsBehind(t *testing.T) {
	sound := noise(300_000, 1)
	p := program(sound, 0, 200_000)
	s, err := Find(p, 200_000, NewUntitled(iotest.OneByteReader(bytes.NewReader(sound[150_000:])), 0), nothingMore)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Begin(200_000); err != nil {
		t.Fatal(err)
	}
	if rest, _ := io.ReadAll(s); !bytes.Equal(rest, sound[200_000:]) {
		t.Errorf("%d octets", len(rest))
	}
}

// Only a server that is known to be behind is waited for longer than for its burst.
func TestABurstThatIsOver(t *testing.T) {
	sound := noise(300_000, 1)
	for _, test := range []struct {
		theirs int
		err    error
	}{{210_000, ErrNoOverlap}, {100_000, ErrNoOverlap}, {150_000, nil}} {
		source := NewUntitled(iotest.HalfReader(bytes.NewReader(sound[test.theirs:])), 0)
		if _, err := Find(program(sound, 0, 200_000), 200_000, source, late); err != test.err {
			t.Errorf("from %d on: %v, want %v", test.theirs, err, test.err)
		}
	}
}

// Where the beginning has been missed, the titles say themselves where they stand.
func TestTitlesAreFoundAgain(t *testing.T) {
	sound := noise(400_000, 1)
	content := titled(sound, 0, 8192, song)
	track := NewTrack(8192)
	track.Feed(content[100_000:150_000], 150_000)
	if !track.Lost() {
		t.Fatal("it has not noticed")
	}
	track.Regain(content[100_000:160_000], 160_000)
	if track.Lost() {
		t.Fatal("not found")
	}
	whole := program(content, 8192, 160_000)
	if track.next != whole.next {
		t.Errorf("the next title at %d, want %d", track.next, whole.next)
	}
	// Zeros may be titles everywhere.
	track = NewTrack(1000)
	track.Feed(make([]byte, 50_000), 200_000)
	if track.Regain(make([]byte, 50_000), 200_000); !track.Lost() {
		t.Error("found in zeros")
	}
}

// A title that says it is longer than it is takes sound for title: the place is not found then, and nothing wrong is handed on.
func TestATitleThatLies(t *testing.T) {
	sound := noise(200_000, 1)
	theirs := titled(sound, 40_000, 4000, song)
	theirs[4000] = 255
	if _, err := Find(program(sound, 0, 60_000), 60_000, NewUntitled(bytes.NewReader(theirs), 4000), atHand); err == nil {
		t.Error("found")
	}
}

func TestOf(t *testing.T) {
	for _, test := range []struct {
		head, request string
		is            bool
		want          Stream
	}{
		{"HTTP/1.0 200 OK\r\nContent-Type: audio/mpeg\r\nicy-metaint: 16000\r\n\r\n", "", true, Stream{"audio/mpeg", 16000, true}},
		{"HTTP/1.0 200 OK\r\nContent-Type: video/MP2T; x=y\r\n\r\n", "", true, Stream{"video/mp2t", 0, false}},
		{"HTTP/1.1 200 OK\r\nContent-Type: audio/ogg\r\nTransfer-Encoding: chunked\r\n\r\n", "Range: bytes=0-\r\n", true, Stream{"audio/ogg", 0, false}},
		{"HTTP/1.1 200 OK\r\nContent-Type: audio/ogg\r\nTransfer-Encoding: chunked\r\n\r\n", "Range: bytes=5-\r\n", false, Stream{}},
		{"HTTP/1.1 200 OK\r\nContent-Type: audio/mpeg\r\nContent-Length: 5\r\n\r\n", "", false, Stream{}},
		{"HTTP/1.1 200 OK\r\nContent-Type: audio/mpeg\r\nETag: \"a\"\r\n\r\n", "", false, Stream{}},
		{"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n", "", false, Stream{}},
		{"HTTP/1.1 206 Partial Content\r\nContent-Type: audio/mpeg\r\n\r\n", "", false, Stream{}},
		{"HTTP/1.0 200 OK\r\nicy-name: x\r\nicy-metaint: 0\r\n\r\n", "", false, Stream{}},
		{"HTTP/1.0 200 OK\r\nicy-name: x\r\nicy-metaint: 99999999999999999999\r\n\r\n", "", false, Stream{}},
	} {
		r, err := http1.ParseResponse([]byte(test.head))
		if err != nil {
			t.Fatal(err)
		}
		request, err := http1.ParseRequest([]byte("GET / HTTP/1.1\r\nHost: x\r\n" + test.request + "\r\n"))
		if err != nil {
			t.Fatal(err)
		}
		if got, is := Of(request, r); is != test.is || is && got != test.want {
			t.Errorf("%q: %+v, %v", test.head, got, is)
		}
	}
}

// Wherever a program stands, and whatever is wrong in what a server sends, what the program is handed is its own sound, and then the
// server's behind the same octets.
func FuzzSplice(f *testing.F) {
	sound := noise(40_000, 1)
	f.Add(uint16(1000), uint16(700), uint16(9000), uint16(100), uint16(3000), []byte{})
	f.Add(uint16(0), uint16(0), uint16(9000), uint16(0), uint16(1000), []byte{1, 2, 3})
	f.Add(uint16(300), uint16(4000), uint16(12000), uint16(3000), uint16(0), []byte{200, 0, 255})
	f.Fuzz(func(t *testing.T, every, their, at, later, from uint16, wrong []byte) {
		if int(at)+int(later) > 35_000 || every > maxEvery || their > maxEvery {
			return
		}
		had, stands := titled(sound, 0, int(every), song), int64(at)+int64(later)
		theirs := titled(sound, int(from)%30_000, int(their), song)
		for place := 0; len(wrong) >= 3; wrong = wrong[3:] {
			place += int(wrong[0])<<8 + int(wrong[1])
			theirs[place%len(theirs)] = wrong[2]
		}
		s, err := Find(program(had, int(every), int64(at)), int64(at), NewUntitled(bytes.NewReader(theirs), int(their)), nothingMore)
		if err != nil || s.Begin(stands) != nil {
			return
		}
		rest, _ := io.ReadAll(s)
		got, _ := plain(t, append(bytes.Clone(had[:stands]), rest...), int(every))
		old, _ := plain(t, had[:stands], int(every))
		new, _ := plain(t, theirs, int(their))
		if !bytes.HasPrefix(got, old) || !bytes.Contains(new, got[max(0, len(old)-least):]) {
			t.Errorf("%d octets of neither", len(got))
		}
	})
}

func FuzzTrack(f *testing.F) {
	f.Add(titled(noise(900, 1), 0, 100, song), 100, 7)
	f.Fuzz(func(t *testing.T, content []byte, every, step int) {
		if every < 1 || every > maxEvery || step < 1 {
			return
		}
		whole, pieces := NewTrack(every), NewTrack(every)
		whole.Feed(content, int64(len(content)))
		for end := 0; end < len(content); {
			from := end
			end = min(end+step, len(content))
			pieces.Feed(content[max(0, from-3):end], int64(end))
		}
		a, b, c := whole.place()
		d, e, g := pieces.place()
		if a != d || b != e || c != g || whole.Lost() || pieces.Lost() {
			t.Errorf("at once: %d %d %d; in pieces: %d %d %d", a, b, c, d, e, g)
		}
	})
}

// Frames of silence with a pattern of padding that comes again after 49 of them, as those of 256 kbit/s at 44.1 kHz, tell no place from another.
func TestSilenceTellsNoPlace(t *testing.T) {
	var had []byte
	for i := 0; len(had) < Window+1000; i++ {
		size := 835 + ((i+1)*47/49 - i*47/49)
		had = append(had, append([]byte{0xff, 0xfb, 0xd0, 0x64}, make([]byte, size-4)...)...)
	}
	if NewSearch(had) != nil {
		t.Error("it is looked for")
	}
}
