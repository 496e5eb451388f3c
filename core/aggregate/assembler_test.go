package aggregate

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"midstream/core/guard"
	"midstream/core/http1"
)

// server answers requests for ranges as its fields say. They are not changed once it runs, but for those with a lock.
type server struct {
	content []byte
	etag    string
	rate    float64       // octets a second for each connection; 0: as fast as it goes
	delay   time.Duration // before each answer
	chunked bool
	// ends is after how many answers the connection ends; told: and the last one says so.
	ends int
	told bool
	// loses what arrives in the same read behind a request.
	loses bool
	// lies from this octet on, if it is greater than 0.
	lies int64
	// behind, if set, has the content of every second connection.
	behind []byte
	// shorter: answers bring this many octets at most.
	shorter int64
	// answers, if set, decides what is answered to the n-th request: a whole head, after which the connection ends; "" as usual.
	answers func(n int) string
	// without: nothing says how long an answer is.
	without bool
	// mute: who asks for more than this, if it is greater than 0, waits for ever.
	mute int64
	// cut says after how many octets of content, all in all, a connection is reset next; 0 for never.
	cut func() int64
	// mangles an answer's head, if set.
	mangles func(head []byte)
	// greets is how many connections are served; later ones are closed at once. 0: all.
	greets int
	// silent: nothing is sent any more.
	silent atomic.Bool

	listener net.Listener
	accepted atomic.Int64
	requests atomic.Int64
	octets   atomic.Int64
	mu       sync.Mutex
	conns    map[net.Conn]bool
	down     bool
}

func (s *server) start(t testing.TB) *server {
	var err error
	if s.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	s.conns = map[net.Conn]bool{}
	if s.etag == "" {
		s.etag = `"one"`
	}
	go func() {
		for {
			conn, err := s.listener.Accept()
			if err != nil {
				return
			}
			n := s.accepted.Add(1)
			s.mu.Lock()
			if s.greets > 0 && n > int64(s.greets) {
				conn.Close()
			} else if s.down {
				reset(conn)
			} else {
				s.conns[conn] = true
				content := s.content
				if s.behind != nil && n%2 == 0 {
					content = s.behind
				}
				go s.serve(conn, content)
			}
			s.mu.Unlock()
		}
	}()
	t.Cleanup(func() {
		s.listener.Close()
		s.set(true)
	})
	return s
}

// set takes the server down, with all its connections, or up.
func (s *server) set(down bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = down
	for conn := range s.conns {
		if down {
			reset(conn)
			delete(s.conns, conn)
		}
	}
}

func (s *server) serve(conn net.Conn, content []byte) {
	defer conn.Close()
	var have []byte
	buffer := make([]byte, 8<<10)
	left := int64(-1)
	if s.cut != nil {
		left = s.cut()
	}
	for n := 1; ; n++ {
		for http1.HeadEnd(have) < 0 {
			k, err := conn.Read(buffer)
			if err != nil {
				return
			}
			have = append(have, buffer[:k]...)
		}
		end := http1.HeadEnd(have)
		request, err := http1.ParseRequest(have[:end])
		if err != nil {
			return
		}
		if have = have[end:]; s.loses {
			have = nil
		}
		asked := int(s.requests.Add(1))
		time.Sleep(s.delay)
		if s.answers != nil {
			if head := s.answers(asked); head != "" {
				io.WriteString(conn, head)
				return
			}
		}
		g, _, err := request.Range()
		first, last, ok := g.Resolve(int64(len(content)))
		if err != nil || !ok {
			fmt.Fprintf(conn, "HTTP/1.1 416 No\r\nContent-Range: bytes */%d\r\nContent-Length: 0\r\n\r\n", len(content))
			continue
		}
		if s.mute > 0 && last-first > s.mute {
			io.Copy(io.Discard, conn)
			return
		}
		if s.shorter > 0 {
			last = min(last, first+s.shorter-1)
		}
		head := fmt.Sprintf("HTTP/1.1 206 Partial Content\r\nETag: %s\r\nContent-Range: bytes %d-%d/%d\r\n", s.etag, first, last, len(content))
		if s.chunked {
			head += "Transfer-Encoding: chunked\r\n"
		} else if !s.without {
			head += fmt.Sprintf("Content-Length: %d\r\n", last-first+1)
		}
		ends := s.ends > 0 && n >= s.ends
		ends = ends || s.without
		if ends && (s.told || s.without) {
			head += "Connection: close\r\n"
		}
		octets := []byte(head + "\r\n")
		if s.mangles != nil {
			s.mangles(octets)
		}
		if _, err := conn.Write(octets); err != nil {
			return
		}
		for at := first; at <= last; {
			for s.silent.Load() {
				time.Sleep(5 * time.Millisecond)
				if _, err := conn.Write(nil); err != nil {
					return
				}
				s.mu.Lock()
				gone := s.down
				s.mu.Unlock()
				if gone {
					return
				}
			}
			k := min(last+1-at, 16<<10)
			if left >= 0 {
				k = min(k, left)
			}
			piece := content[at : at+k]
			if s.lies > 0 && at+k > s.lies {
				piece = bytes.Clone(piece)
				for i := range piece {
					if at+int64(i) >= s.lies {
						piece[i] ^= 0x55
					}
				}
			}
			if s.chunked {
				piece = http1.AppendChunk(nil, piece)
			}
			if _, err := conn.Write(piece); err != nil {
				return
			}
			s.octets.Add(k)
			at += k
			if left >= 0 {
				if left -= k; left == 0 {
					reset(conn)
					return
				}
			}
			if s.rate > 0 {
				time.Sleep(time.Duration(float64(k) / s.rate * float64(time.Second)))
			}
		}
		if s.chunked {
			conn.Write(http1.AppendLastChunk(nil, nil))
		}
		if ends {
			return
		}
	}
}

// way leads to a server.
type way struct {
	name string
	to   *server
	at   string // address and port, where it is no server of these
}

func (w way) Interface() string { return w.name }

func (w way) Dial(ctx context.Context) (net.Conn, error) {
	var d net.Dialer
	if w.at != "" {
		return d.DialContext(ctx, "tcp", w.at)
	}
	return d.DialContext(ctx, "tcp", w.to.listener.Addr().String())
}

func (w way) Foreign() bool { return false }

func (w way) Request(first, last int64) []byte {
	return fmt.Appendf(nil, "GET /file HTTP/1.1\r\nHost: example\r\nRange: bytes=%d-%d\r\n\r\n", first, last)
}

func octets(seed uint64, n int) []byte {
	r := rand.New(rand.NewPCG(seed, 1))
	b := make([]byte, n)
	for i := 0; i+8 <= n; i += 8 {
		x := r.Uint64()
		for k := range 8 {
			b[i+k] = byte(x >> (8 * k))
		}
	}
	return b
}

func etagIs(etag string) func(http1.Validators, int64) error {
	return func(v http1.Validators, compared int64) error {
		if v.ETag == etag {
			return nil
		}
		if compared < 64<<10 {
			return ErrCompare
		}
		return nil
	}
}

// options has the program stand at the octet first.
func options(content []byte, first int, servers ...*server) Options {
	o := Options{First: int64(first), End: int64(len(content)), Total: int64(len(content)), Known: content[max(0, first-64<<10):first], KnownEnd: int64(first), Overlap: 4 << 10, Prove: etagIs(`"one"`)}
	for i, s := range servers {
		o.Paths = append(o.Paths, PathOptions{Way: way{name: fmt.Sprintf("net%d", i), to: s}})
	}
	return o
}

// fetch reads all, in pieces of many sizes, and compares.
func fetch(t *testing.T, a *Assembler, want []byte) error {
	t.Helper()
	a.SetReadDeadline(time.Now().Add(30 * time.Second))
	buffer := make([]byte, 100<<10)
	for at := 0; ; {
		n, err := a.Read(buffer[:1+at*7919%len(buffer)])
		if at+n > len(want) || !bytes.Equal(buffer[:n], want[at:at+n]) {
			t.Fatalf("wrong octets behind %d of %d", at, len(want))
		}
		at += n
		if err == io.EOF && at == len(want) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%d octets of %d: %w", at, len(want), err)
		}
	}
}

const someRate = 20e6

func TestTwoServersFeedOneReader(t *testing.T) {
	t.Parallel()
	content := octets(1, 16<<20)
	one := (&server{content: content, rate: someRate}).start(t)
	two := (&server{content: content, rate: someRate, chunked: true}).start(t)
	a := New(options(content, 1000, one, two))
	defer a.Close()
	if err := fetch(t, a, content[1000:]); err != nil {
		t.Fatal(err, a.States())
	}
	for _, s := range []*server{one, two} {
		if s.octets.Load() < 2<<20 {
			t.Errorf("a server brought %d octets only: %+v", s.octets.Load(), a.States())
		}
	}
	if n := one.requests.Load() + two.requests.Load(); n > 100 {
		t.Errorf("%d requests", n)
	}
	if a.Peak() > MostMemory {
		t.Errorf("%d octets held", a.Peak())
	}
}

// What servers refuse, and in which way they end connections: the other one brings it all.
func TestWhatOneServerRefusesAnotherBrings(t *testing.T) {
	t.Parallel()
	content := octets(2, 8<<20)
	other := octets(3, 8<<20)
	refuses := func(after int, head string) func(int) string {
		return func(n int) string {
			if n <= after {
				return ""
			}
			return head + "\r\nContent-Length: 3\r\n\r\nno."
		}
	}
	for name, c := range map[string]struct {
		bad *server
		why string // it is out, "" where it goes on
		few bool   // it is asked a few times only
	}{
		"ignores Range":                      {&server{answers: refuses(0, "HTTP/1.1 200 OK")}, "ignores Range", true},
		"ignores Range later":                {&server{answers: refuses(4, "HTTP/1.1 200 OK")}, "ignores Range", false},
		"forbids":                            {&server{answers: refuses(2, "HTTP/1.1 403 No")}, "403", false},
		"416":                                {&server{answers: refuses(0, "HTTP/1.1 416 No\r\nContent-Range: bytes */8")}, "ends before", true},
		"sends to a page to log in":          {&server{answers: refuses(0, "HTTP/1.1 302 Found\r\nLocation: http://login.example/")}, "302", true},
		"429":                                {&server{answers: refuses(3, "HTTP/1.1 429 Slow\r\nRetry-After: 60")}, "429", false},
		"429 for a day":                      {&server{answers: refuses(0, "HTTP/1.1 429 Slow\r\nRetry-After: 86400")}, "429", true},
		"503":                                {&server{answers: refuses(0, "HTTP/1.1 503 Busy")}, "503", true},
		"speaks no HTTP":                     {&server{answers: func(int) string { return "220 ftp.example ready\r\n\r\n" }}, "malformed", true},
		"another range":                      {&server{answers: refuses(1, "HTTP/1.1 206 OK\r\nContent-Range: bytes 0-2/8388608")}, "instead of", false},
		"another length":                     {&server{content: other[:7<<20], etag: `"two"`}, "octets", true},
		"another content":                    {&server{content: other, etag: `"two"`}, "another one", true},
		"another content, the same ETag":     {&server{content: other}, "another one", true},
		"another ETag, the same content":     {&server{etag: `"two"`}, "", false},
		"changes":                            {&server{answers: refuses(3, "HTTP/1.1 206 OK\r\nETag: \"new\"\r\nContent-Range: bytes 4000000-4000002/8388608")}, "", false},
		"ends connections, and says so":      {&server{ends: 3, told: true}, "", false},
		"ends connections, and says nothing": {&server{ends: 3}, "", false},
		"ends each connection":               {&server{ends: 1, told: true}, "", false},
		"has to bring much before it is believed, and ends each connection": {&server{etag: `"two"`, ends: 1, told: true}, "", false},
		"has no validator, and ends each connection":                        {&server{etag: `W/"two"`, ends: 1, told: true}, "before it can be asked", true},
		"has other content behind it":                                       {&server{etag: `W/"two"`, behind: other, ends: 4, told: true}, "another one", false},
		"loses requests":                                                    {&server{loses: true}, "", false},
		"brings less than it is asked for":                                  {&server{shorter: 100 << 10}, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			good := (&server{content: content, rate: someRate}).start(t)
			bad := c.bad
			if bad.content == nil {
				bad.content = content
			}
			bad.rate = someRate
			bad.start(t)
			a := New(options(content, 70000, good, bad))
			defer a.Close()
			if err := fetch(t, a, content[70000:]); err != nil {
				t.Fatal(err, a.States())
			}
			state := a.States()[1]
			if c.why != "" && !strings.Contains(state.Why, c.why) || c.why == "" && name != "changes" && state.Octets < 500<<10 {
				t.Errorf("%+v", state)
			}
			if n := bad.requests.Load(); c.few && n > 3 || n > 120 {
				t.Errorf("%d requests, %+v", n, state)
			}
		})
	}
}

// Short answers of every framing that come together: each ends where it ends, whatever has been read with it.
func TestAnswersThatComeTogether(t *testing.T) {
	content := octets(15, 40<<10)
	chunked, counted := http1.Framing{Kind: http1.Chunked}, http1.Framing{Kind: http1.Length}
	for size := 1; size < len(content); size += 1 + size/3 {
		for _, parts := range []int{1, 3, size} {
			var sent bytes.Buffer
			framings := []http1.Framing{chunked, chunked, counted, chunked, counted}
			for i, f := range framings {
				fmt.Fprintf(&sent, "HTTP/1.1 206 Partial Content\r\nETag: \"%d\"\r\n\r\n", i)
				if f.Kind == http1.Length {
					sent.Write(content[:size])
					continue
				}
				for at, step := 0, (size+parts-1)/parts; at < size; at += step {
					sent.Write(http1.AppendChunk(nil, content[at:min(at+step, size)]))
				}
				sent.Write(http1.AppendLastChunk(nil, nil))
			}
			near, far := net.Pipe()
			go func() {
				far.Write(sent.Bytes())
				far.Close()
			}()
			w := &wire{Conn: near, buffer: make([]byte, headBuffer), low: 1, set: 1}
			for i, f := range framings {
				answer, err := w.head()
				if err != nil || answer.Get("ETag") != fmt.Sprintf("\"%d\"", i) {
					t.Fatalf("%d octets in %d chunks, answer %d: %v", size, parts, i, err)
				}
				f.Length = int64(size)
				b := make([]byte, size)
				if err := w.content(f, b, nil); err != nil || !bytes.Equal(b, content[:size]) {
					t.Fatalf("%d octets in %d chunks, answer %d: %v", size, parts, i, err)
				}
			}
			if _, err := w.head(); err != io.EOF || len(w.have) > 0 {
				t.Errorf("%d octets in %d chunks: %v, and %d octets are left", size, parts, err, len(w.have))
			}
		}
	}
}

// A path that is not asked has connections made rarely to a server that closes them at once.
func TestAServerThatClosesWhatIsNotAskedIsLeftAlone(t *testing.T) {
	t.Parallel()
	content := octets(11, 8<<20)
	one, two := (&server{content: content, rate: 4e6}).start(t), (&server{content: content, greets: 1, ends: 2, rate: someRate}).start(t)
	o := options(content, 0, one, two)
	o.Paths[1].Rules.Share = 0.001
	a := New(o)
	defer a.Close()
	if err := fetch(t, a, content); err != nil {
		t.Fatal(err, a.States())
	}
	if n := two.accepted.Load(); n < 2 || n > 12 {
		t.Errorf("%d connections", n)
	}
}

// What brings nothing is counted, and has the next attempt wait; a connection that has brought something may end at any time.
func TestWhatBringsNothingIsCounted(t *testing.T) {
	t.Parallel()
	for err, barren := range map[error]int{errGivenUp: 1, errIdle: 0, errClosing: 0, io.ErrUnexpectedEOF: 1} {
		for _, brought := range []bool{false, true} {
			a := New(Options{End: 1 << 20})
			f := &feeder{a: a, n: a.s.AddPath(PathRules{}), wire: &wire{brought: brought, given: true}}
			a.feeders = append(a.feeders, f)
			if !f.ended(err) {
				t.Errorf("%v: no more attempts", err)
			}
			if want := barren; brought && len(a.o.Places.barren) != 0 || !brought && len(a.o.Places.barren) != want {
				t.Errorf("%v, something brought %t: counted %d", err, brought, len(a.o.Places.barren))
			}
			if waits := !brought && err != errClosing; waits != (f.fails == 1) {
				t.Errorf("%v, something brought %t: the next attempt waits: %t", err, brought, f.fails == 1)
			}
			a.Close()
		}
	}
}

// frail is a way that breaks.
type frail struct {
	way
	dials *atomic.Int64
}

func (w frail) Dial(ctx context.Context) (net.Conn, error) {
	if w.dials.Add(1) > 1 {
		panic("a mistake")
	}
	return w.way.Dial(ctx)
}

// A mistake on a path ends that path's work, and not the program.
func TestAMistakeEndsNoProgram(t *testing.T) {
	content := octets(12, 2<<20)
	mistakes := make(chan any, 8)
	guard.OnPanic(func(value any, _ []byte) { mistakes <- value })
	one, two := (&server{content: content, rate: someRate}).start(t), (&server{content: content, ends: 2, told: true, rate: someRate}).start(t)
	o := options(content, 0, one, two)
	o.Paths[1].Way = frail{o.Paths[1].Way.(way), new(atomic.Int64)}
	a := New(o)
	defer a.Close()
	if err := fetch(t, a, content); err != nil {
		t.Error(err, a.States())
	}
	<-mistakes
}

// told is a way that is told of refusals.
type told struct {
	way
	after *atomic.Int64
}

func (w told) Refused(_ net.Conn, _ int, after time.Duration) { w.after.Store(int64(after)) }

// What has been found out about servers outlasts what feeds from them: who refuses is not asked again, nor before the time it says.
func TestARefusalOutlastsWhatWasRefused(t *testing.T) {
	t.Parallel()
	content := octets(13, 2<<20)
	for _, head := range []string{"HTTP/1.1 200 OK", "HTTP/1.1 429 Slow\r\nRetry-After: 200"} {
		one := (&server{content: content, rate: someRate}).start(t)
		two := (&server{content: content, answers: func(int) string { return head + "\r\nContent-Length: 3\r\n\r\nno." }}).start(t)
		o := options(content, 0, one, two)
		o.Places = &Places{}
		var after atomic.Int64
		o.Paths[1].Way = told{o.Paths[1].Way.(way), &after}
		for range 3 {
			a := New(o)
			if err := fetch(t, a, content); err != nil {
				t.Error(err, a.States())
			}
			if why := a.States()[1].Why; why == "" {
				t.Error("nothing says why it is not asked")
			}
			a.Close()
		}
		if n := two.requests.Load(); n != 1 {
			t.Errorf("%s: %d requests", head, n)
		}
		if waits := strings.HasSuffix(head, ": 200"); waits != (after.Load() == int64(200*time.Second)) {
			t.Errorf("%s: who else asks is told of %v", head, time.Duration(after.Load()))
		}
	}
}

// Who cannot bring all that is left by itself leaves all paths at work.
func TestNotEveryPathGoesOnAlone(t *testing.T) {
	t.Parallel()
	content := octets(14, 24<<20)
	for name, two := range map[string]*server{
		"does not say how long it is": {chunked: true},
		"ends with the connection":    {without: true},
		"brings less":                 {shorter: 2 << 20},
		"says nothing":                {mute: 12 << 20},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			two.content, two.rate = content, someRate
			one := (&server{content: content, rate: someRate}).start(t)
			a := New(options(content, 0, one, two.start(t)))
			defer a.Close()
			head := make([]byte, 3<<20)
			if _, err := io.ReadFull(a, head); err != nil || !bytes.Equal(head, content[:len(head)]) {
				t.Fatal("wrong octets", err)
			}
			alone := make(chan error, 1)
			go func() {
				ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
				defer cancel()
				_, _, err := a.Alone(ctx, 1)
				alone <- err
			}()
			if err := fetch(t, a, content[len(head):]); err != nil {
				t.Error(err, a.States())
			}
			if err := <-alone; err == nil {
				t.Error("it was to go on alone")
			}
			if n := a.Peak(); n > MostMemory+MostBlock {
				t.Errorf("%d octets were held", n)
			}
		})
	}
}

// Two pieces that differ, in each order: the server of the later path is not believed, on none of its paths; but if the program has been
// handed octets of that server's, nobody knows what was right.
func TestWhoContradictsIsNotBelieved(t *testing.T) {
	for _, c := range []struct {
		liesFirst, delivered bool
	}{{false, false}, {true, false}, {false, true}, {true, true}} {
		var told error
		a := New(Options{End: 1 << 20, Failed: func(err error) { told = err }})
		a.mu.Lock()
		honest, liar := a.o.Places.at("wlan0", "honest"), a.o.Places.at("wwan0", "liar")
		for _, at := range []*place{honest, liar, liar} {
			f := &feeder{a: a, n: a.s.AddPath(PathRules{}), way: way{name: "net"}, wire: &wire{Conn: &net.TCPConn{}, place: at, wake: make(chan struct{}, 1)}}
			a.feeders = append(a.feeders, f)
			a.s.Ready(0, f.n, time.Millisecond, 1e6)
		}
		asked := func(n int, first, end int64, b byte) *piece {
			a.s.orders = a.s.orders[:0]
			a.s.ask(0, a.s.paths[n], first, end, true)
			a.feeders[n].ask(a.s.orders[0])
			p := a.pieces[len(a.pieces)-1]
			p.slab = bytes.Repeat([]byte{b}, int(end-first))
			return p
		}
		bring := func(p *piece) {
			a.feeders[p.path.n].wire.queue = nil
			a.arrived(p.path, p, p.end-p.first)
		}
		liar.delivered.Store(c.delivered)
		right, lie := asked(0, 0, 1000, 1), asked(1, 500, 1500, 2)
		if c.liesFirst {
			bring(lie)
			bring(right)
		} else {
			bring(right)
			bring(lie)
		}
		switch {
		case c.delivered && (!errors.Is(a.err, ErrContradiction) || told != a.err):
			t.Errorf("%+v: %v, told %v", c, a.err, told)
		case c.delivered:
		case a.err != nil || a.feeders[0].isOut || !a.feeders[1].isOut || !a.feeders[2].isOut || liar.refusal() == nil:
			t.Errorf("%+v: %v, %+v", c, a.err, a.feeders)
		case a.s.Next() != 1000 || a.s.paths[0].octets != 1000:
			t.Errorf("%+v: in order up to %d, and %d octets from the other", c, a.s.Next(), a.s.paths[0].octets)
		default:
			b := make([]byte, 2000)
			if n := a.take(b); n != 1000 || bytes.ContainsFunc(b[:n], func(r rune) bool { return r != 1 }) {
				t.Errorf("%+v: %d octets are handed on", c, n)
			}
		}
		a.mu.Unlock()
		a.Close()
	}
}

// A server that lies is found out where something is fetched twice; what was delivered before cannot be taken back.
func TestALieIsFoundWhereItIsFetchedTwice(t *testing.T) {
	t.Parallel()
	content := octets(4, 10<<20)
	one := (&server{content: content, rate: 5e6}).start(t)
	two := (&server{content: content, rate: 5e6, lies: 1 << 20}).start(t)
	a := New(options(content, 0, one, two))
	defer a.Close()
	done := make(chan error, 1)
	go func() {
		_, err := io.Copy(io.Discard, a)
		done <- err
	}()
	// Of what one has been asked for, the other is asked as well.
	asked := map[int]bool{}
	twice := func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		for _, b := range a.s.blocks {
			if other := 1 - b.path.n; b.first > two.lies && b.rest() > 0 && a.s.paths[other].ready && !asked[b.id] {
				a.s.orders = a.s.orders[:0]
				a.s.ask(a.now(), a.s.paths[other], b.first, b.end, true)
				a.feeders[other].ask(a.s.orders[0])
				asked[b.id], asked[a.s.orders[0].Block] = true, true
				return
			}
		}
	}
	var err error
	for over := false; !over; {
		select {
		case err = <-done:
			over = true
		case <-time.After(time.Millisecond):
			twice()
		}
	}
	if why := a.States()[1].Why; !strings.Contains(why, "contradicts") && !errors.Is(err, ErrContradiction) {
		t.Errorf("%d octets were fetched twice, and nobody has looked: %v, %q", a.Repeated(), err, why)
	}
}

func TestNobodyLeft(t *testing.T) {
	t.Parallel()
	content := octets(5, 8<<20)
	one, two := (&server{content: content, rate: 5e6}).start(t), (&server{content: content, rate: 5e6}).start(t)
	a := New(options(content, 0, one, two))
	defer a.Close()
	time.AfterFunc(150*time.Millisecond, func() {
		one.listener.Close()
		two.listener.Close()
		one.set(true)
		two.set(true)
	})
	if err := fetch(t, a, content); !errors.Is(err, ErrNoPath) {
		t.Error(err)
	}
}

func TestOnePathBringsTheRest(t *testing.T) {
	t.Parallel()
	content := octets(6, 12<<20)
	for _, taken := range []bool{false, true} {
		one, two := (&server{content: content, rate: someRate}).start(t), (&server{content: content, rate: someRate}).start(t)
		a := New(options(content, 0, one, two))
		defer a.Close()
		buffer := make([]byte, 3<<20)
		if _, err := io.ReadFull(a, buffer); err != nil || !bytes.Equal(buffer, content[:len(buffer)]) {
			t.Fatal("wrong octets", err)
		}
		if !taken {
			if _, at, err := a.Alone(t.Context(), 1); err != nil || at < int64(len(buffer)) {
				t.Error(at, err)
			}
			if err := fetch(t, a, content[len(buffer):]); err != nil {
				t.Error(err)
			}
			continue
		}
		at := int64(len(buffer))
		go func() {
			a.Alone(t.Context(), a.Best(t.Context()))
			a.Part()
		}()
		var before bytes.Buffer
		if _, err := io.Copy(&before, a); err != nil || !bytes.Equal(before.Bytes(), content[at:at+int64(before.Len())]) {
			t.Fatal("wrong octets", err)
		}
		at += int64(before.Len())
		conn, reusable := a.Rest()
		if conn == nil || !reusable {
			t.Fatal("nobody brings the rest alone", a.States())
		}
		defer conn.Close()
		rest := make([]byte, int64(len(content))-at)
		if _, err := io.ReadFull(conn, rest); err != nil || !bytes.Equal(rest, content[at:]) {
			t.Error("wrong octets behind the hand-over", err)
		}
	}
}

var downloads = flag.Int("downloads", 24, "how many downloads meet cuts at random")

// Connections are cut at random octets, servers go and come back or fall silent, paths are left for one: every octet is compared.
func TestCutsAndReturnsAtRandom(t *testing.T) {
	t.Parallel()
	content := octets(7, 4<<20)
	runs := uint64(*downloads)
	if testing.Short() {
		runs = min(runs, 10)
	}
	var all sync.WaitGroup
	slots := make(chan bool, 8)
	for seed := range runs {
		all.Add(1)
		slots <- true
		go func() {
			defer func() { <-slots; all.Done() }()
			random := rand.New(rand.NewPCG(seed, 9))
			var mu sync.Mutex
			below := func(n int64) int64 { mu.Lock(); defer mu.Unlock(); return random.Int64N(n) }
			var servers []*server
			for i := range 2 + below(2) {
				s := &server{content: content, rate: 2e6 + float64(below(20e6)), chunked: below(4) == 0, delay: time.Duration(below(20)) * time.Millisecond}
				if i > 0 && below(2) == 0 { // somebody lives
					s.cut = func() int64 { return 1 + below(1<<(5+below(17))) }
				}
				if i > 0 && below(5) == 0 {
					s.mangles = func(head []byte) {
						if below(3) == 0 {
							head[below(int64(len(head)))] ^= byte(1 << below(8))
						}
					}
				}
				if below(4) == 0 {
					s.ends, s.told = int(1+below(10)), below(2) == 0
				}
				servers = append(servers, s.start(t))
			}
			first := int(below(300_000))
			a := New(options(content, first, servers...))
			defer a.Close()
			stop := make(chan bool)
			defer close(stop)
			var alone atomic.Bool
			go func() {
				for below(3) == 0 {
					select {
					case <-stop:
						return
					case <-time.After(time.Duration(below(200)) * time.Millisecond):
					}
					ctx, cancel := context.WithTimeout(context.Background(), time.Duration(below(300))*time.Millisecond)
					if _, _, err := a.Alone(ctx, a.Best(t.Context())); err == nil {
						alone.Store(true)
					}
					cancel()
				}
			}()
			go func() {
				for {
					select {
					case <-stop:
						return
					case <-time.After(time.Duration(below(100)) * time.Millisecond):
					}
					switch s := servers[1+below(int64(len(servers)-1))]; below(4) {
					case 0:
						s.set(true)
					case 1:
						s.set(false)
					case 2:
						s.silent.Store(true)
					default:
						s.silent.Store(false)
					}
				}
			}()
			// Whoever brings the rest by itself may break off.
			if err := fetch(t, a, content[first:]); err != nil && !alone.Load() {
				t.Errorf("seed %d: %v, %+v", seed, err, a.States())
			}
		}()
	}
	all.Wait()
}
