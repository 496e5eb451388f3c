// Recoveries of a stream that does as the test says, on a clock of its own: who is tried when, and when the program is told.
package recovery

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"midstream/core/budget"
	"midstream/core/channel"
	"midstream/core/config"
	"midstream/core/delivery"
	"midstream/core/dial"
	"midstream/core/digest"
	"midstream/core/elsewhere"
	"midstream/core/exchange"
	"midstream/core/reason"
	"midstream/core/refusal"
	"midstream/core/resume"
	"midstream/core/silence"
	"midstream/core/standby"
)

// tick is how much later than it could something may be done.
const tick = 5 * time.Millisecond

// stream is one whose program has had 1000 octets, over wlan0. What it is asked to do, it notes.
type stream struct {
	times *[]time.Time    // of requests, each with a permit; nil: nobody needs one
	conns chan *dial.Conn // to be connected with

	mu      sync.Mutex
	state   State
	had     int64
	changed chan struct{}
	news    chan struct{}
	usable  []string
	ready   *dial.Conn
	connect func(context.Context, standby.Candidate) error           // nil: at once
	ask     func(context.Context, string) (*delivery.Outcome, error) // nil: at once
	confirm func() error
	places  []elsewhere.Place

	connects []standby.Candidate
	asked    []string
	url      string // of the last that was elsewhere
	taken    string // the interface
	told     string
	spoke    bool
	until    time.Time
}

func (s *stream) Read() (n channel.Snapshot, ok bool) {
	s.with(func() { n = channel.Snapshot{Exchange: 1, Received: s.had} })
	return n, true
}
func (s *stream) Tail(uint64, int64, int) []byte             { return nil }
func (s *stream) Digest(uint64) (int64, digest.Digest, bool) { return 0, digest.Digest{}, false }

// newStream has so many connections to give; they are made before the clock is the test's.
func newStream(t *testing.T, conns int) *stream {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	s := &stream{conns: make(chan *dial.Conn, conns), had: 1000, usable: []string{"wlan0", "wwan0"}}
	to := netip.MustParseAddrPort(l.Addr().String())
	for range conns {
		conn, err := dial.Race(t.Context(), dial.Candidates(to), to, dial.Options{})
		if err != nil {
			t.Fatal(err)
		}
		s.conns <- conn
	}
	return s
}

// begin is called where the clock is the test's.
func (s *stream) begin(cause string, answered bool) {
	e := exchange.New(1, false, config.ProofTrust, s)
	e.AddRequest([]byte("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), true)
	if answered {
		e.AddAnswer([]byte("HTTP/1.1 200 OK\r\nETag: \"a\"\r\nContent-Length: 1000000\r\n\r\n"))
		e.EndHead(channel.PhaseLength, 1_000_000)
	}
	s.news, s.changed = make(chan struct{}), make(chan struct{})
	s.state = State{Exchange: e, Movable: true, Held: cause == Ended, Lost: cause == PathLost, Interface: "wlan0", Changed: s.changed}
	s.state.Flow = silence.Flow{Exchange: 1, Received: s.had, Heard: time.Now(), Verdict: silence.Live, Waiting: !answered}
}

func (s *stream) with(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

// change changes the state, and wakes the recovery.
func (s *stream) change(f func(*State)) {
	s.with(func() {
		f(&s.state)
		close(s.changed)
		s.changed = make(chan struct{})
		s.state.Changed = s.changed
	})
}

func (s *stream) State() State {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state
}

func (s *stream) Patience() time.Duration               { return 10 * time.Second }
func (s *stream) Unshared(context.Context) error        { return nil }
func (s *stream) Begins(bool)                           {}
func (s *stream) InNeed(_ string, confirm func() error) { s.confirm = confirm }
func (s *stream) Ends()                                 {}
func (s *stream) Alarmed(_ time.Time, spoke bool)       { s.spoke = spoke }
func (s *stream) Hold(until time.Time)                  { s.until = until }
func (s *stream) HoldOn(until time.Time)                { s.until = until }
func (s *stream) Met(error)                             {}
func (s *stream) GiveUp(why error)                      { s.told = why.Error() }
func (s *stream) Look()                                 {}
func (s *stream) Log() *zerolog.Logger                  { nop := zerolog.Nop(); return &nop }

func (s *stream) News() (news <-chan struct{}) {
	s.with(func() { news = s.news })
	return news
}

func (s *stream) Order() (list []string) {
	s.with(func() { list = slices.Clone(s.usable) })
	return list
}

func (s *stream) MayMove(bool) []string { return s.Order() }

func (s *stream) Standby() (standby.Candidate, *dial.Conn) {
	return standby.Candidate{Interface: "wwan0", Other: true}, s.ready
}

func (s *stream) Connect(ctx context.Context, c standby.Candidate, _ *exchange.Exchange, _ bool) (*dial.Conn, resume.Destination, error) {
	s.with(func() { s.connects = append(s.connects, c) })
	if s.connect != nil {
		if err := s.connect(ctx, c); err != nil {
			return nil, resume.Destination{}, err
		}
	}
	return <-s.conns, resume.Destination{}, nil
}

func (s *stream) Describe(context.Context, []string, *exchange.Exchange) {}
func (s *stream) Elsewhere(*exchange.Exchange) []elsewhere.Place         { return s.places }

func (s *stream) Ask(ctx context.Context, c standby.Candidate, conn *dial.Conn, e *exchange.Exchange) (*resume.Rest, *delivery.Outcome, error) {
	defer conn.Close()
	if s.times != nil {
		p, err := e.Budget.Permit(ctx, budget.PlaceOf(c.Interface, conn), true, e.Received)
		if err != nil {
			return nil, nil, err
		}
		s.with(func() { *s.times = append(*s.times, time.Now()) })
		done, err := s.ask(ctx, c.Interface)
		return nil, done, p.Refused(err)
	}
	var ask func(context.Context, string) (*delivery.Outcome, error)
	s.with(func() {
		s.asked, ask = append(s.asked, c.Interface), s.ask
		if c.Elsewhere.URL != "" {
			s.url = c.Elsewhere.URL
		}
	})
	if ask != nil {
		done, err := ask(ctx, c.Interface)
		return nil, done, err
	}
	return nil, &delivery.Outcome{}, nil
}

func (s *stream) Take(_ context.Context, iface, _ string, _ *exchange.Exchange, _ *resume.Rest, _ *delivery.Outcome) error {
	if s.confirm != nil {
		if err := s.confirm(); err != nil {
			return err
		}
	}
	s.taken = iface
	return nil
}

func (s *stream) UnlessOver(e *exchange.Exchange, _, _ <-chan struct{}, limit time.Duration) bool {
	time.Sleep(limit)
	return !e.Over()
}

// never waits for the end.
func never(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

// recovers runs a recovery as the test has prepared it, and says how long it took.
func recovers(t *testing.T, conns int, cause string, answered bool, prepare func(*stream)) (s *stream, took time.Duration) {
	t.Helper()
	s = newStream(t, conns)
	synctest.Test(t, func(t *testing.T) {
		s.begin(cause, answered)
		prepare(s)
		begun := time.Now()
		new(Recoveries).Run(s, cause)
		took = time.Since(begun)
		time.Sleep(time.Minute) // what was under way ends
	})
	for len(s.conns) > 0 {
		(<-s.conns).Close()
	}
	return s, took
}

func TestTheFirstThatDeliversIsTaken(t *testing.T) {
	s, took := recovers(t, 8, Ended, true, func(s *stream) {
		s.connect = func(ctx context.Context, c standby.Candidate) error {
			if c.Interface == "wlan0" {
				return never(ctx)
			}
			return nil
		}
	})
	if s.taken != "wwan0" || s.told != "" || took > time.Second {
		t.Errorf("taken over %q, told %q, after %v", s.taken, s.told, took)
	}
	if s.connects[0] != (standby.Candidate{Interface: "wlan0", Other: true}) {
		t.Errorf("%v comes first", s.connects[0])
	}
}

func TestWhatStandsByIsAskedFirst(t *testing.T) {
	s, took := recovers(t, 8, Ended, true, func(s *stream) { s.ready = <-s.conns })
	if s.taken != "wwan0" || took != 0 || len(s.connects) != 0 {
		t.Errorf("taken over %q after %v and %d attempts", s.taken, took, len(s.connects))
	}
}

func TestTheProgramIsToldWhenItsPatienceEnds(t *testing.T) {
	s, took := recovers(t, 0, Ended, true, func(s *stream) {
		s.connect = func(ctx context.Context, _ standby.Candidate) error { return never(ctx) }
	})
	if !strings.Contains(s.told, "nothing has helped for 10s") || took < 10*time.Second || took > 10*time.Second+tick || s.taken != "" || s.until.IsZero() {
		t.Errorf("told %q after %v", s.told, took)
	}
	running := map[standby.Candidate]int{}
	for _, c := range s.connects {
		running[c]++
	}
	for c, n := range running {
		if n > 20 {
			t.Errorf("%d attempts on %v in ten seconds", n, c)
		}
	}
}

// By itself the program would have known at once.
func TestTheProgramIsToldSoonOfAServerThatRefusesConnections(t *testing.T) {
	s, took := recovers(t, 0, Ended, true, func(s *stream) {
		s.connect = func(context.Context, standby.Candidate) error { return syscall.ECONNREFUSED }
	})
	if !strings.Contains(s.told, "no server has continued it for 3s") || took < shutFor || took > shutFor+100*time.Millisecond {
		t.Errorf("told %q after %v", s.told, took)
	}
}

func TestWhereNobodyContinuesItTheProgramIsToldAtOnce(t *testing.T) {
	s, took := recovers(t, 100, Ended, true, func(s *stream) {
		s.usable = s.usable[:1]
		s.connect = func(_ context.Context, c standby.Candidate) error {
			if c.Other {
				return dial.ErrNoCandidate
			}
			return nil
		}
		s.ask = func(context.Context, string) (*delivery.Outcome, error) {
			return nil, refusal.New(reason.OtherContent.With("it"))
		}
	})
	if !strings.Contains(s.told, "no candidate continues it: the new server has another content (it)") || len(s.asked) != maxRefusals || took > shutFor {
		t.Errorf("told %q after %v and %d questions", s.told, took, len(s.asked))
	}
}

// A person has said that it is to be held for as long as it takes: whatever servers say, and however often they have been asked.
func TestAPersonHasItHeldThoughServersRefuse(t *testing.T) {
	for name, why := range map[string]error{
		"for now":      &refusal.Refusal{Why: reason.Answered.With(503), Server: true, Passing: true},
		"a login page": refusal.New(reason.OtherContent.With("it")),
	} {
		t.Run(name, func(t *testing.T) {
			var times []time.Time
			s, took := recovers(t, 400, Ended, true, func(s *stream) {
				s.state.Kept, s.times = true, &times
				begun := time.Now()
				s.ask = func(context.Context, string) (*delivery.Outcome, error) {
					if time.Since(begun) < 3*time.Minute {
						return nil, why
					}
					return &delivery.Outcome{}, nil
				}
			})
			if s.told != "" || s.taken == "" || took < 3*time.Minute || took > 4*time.Minute {
				t.Errorf("told %q, taken over %q after %v", s.told, s.taken, took)
			}
			for i := range times {
				if i >= budget.Size && times[i].Sub(times[i-budget.Size]) < time.Minute {
					t.Fatalf("%d requests in a minute", budget.Size+1)
				}
			}
			if len(times) < 15 {
				t.Errorf("%d requests in all", len(times))
			}
		})
	}
}

func TestAPersonEndsTheHolding(t *testing.T) {
	s, took := recovers(t, 0, Ended, true, func(s *stream) {
		s.connect = func(ctx context.Context, _ standby.Candidate) error { return never(ctx) }
		time.AfterFunc(time.Second, func() { s.change(func(now *State) { now.Released = true }) })
	})
	if s.told != "a person has ended the holding" || took < time.Second || took > time.Second+tick {
		t.Errorf("told %q after %v", s.told, took)
	}
}

// Other URLs' servers are asked only where none of its own continues it, or says anything for a while.
func TestItGoesOnElsewhereOnlyWhereItsOwnServersFail(t *testing.T) {
	at := func(own func(context.Context) error) func(*stream) {
		return func(s *stream) {
			s.places = []elsewhere.Place{{URL: "http://a/"}, {URL: "http://b/"}}
			s.connect = func(ctx context.Context, c standby.Candidate) error {
				switch c.Elsewhere.URL {
				case "":
					return own(ctx)
				case "http://a/":
					return syscall.EHOSTUNREACH
				}
				return nil
			}
		}
	}
	s, took := recovers(t, 8, Ended, true, at(func(context.Context) error { return nil }))
	if s.taken == "" || s.url != "" || slices.ContainsFunc(s.connects, func(c standby.Candidate) bool { return c.Elsewhere.URL != "" }) {
		t.Errorf("taken over %q, at %q; connected to %v", s.taken, s.url, s.connects)
	}
	s, took = recovers(t, 8, Ended, true, at(func(context.Context) error { return syscall.ECONNREFUSED }))
	if s.taken == "" || s.url != "http://b/" || took > 500*time.Millisecond {
		t.Errorf("its own refuse: taken over %q, at %q, after %v", s.taken, s.url, took)
	}
	s, took = recovers(t, 8, Ended, true, at(never))
	if s.taken == "" || s.url != "http://b/" || took < ownFor || took > ownFor+lastPause+time.Second {
		t.Errorf("its own say nothing: taken over %q, at %q, after %v", s.taken, s.url, took)
	}
	s, _ = recovers(t, 100, Ended, true, func(s *stream) {
		at(func(context.Context) error { return nil })(s)
		s.ask = func(context.Context, string) (*delivery.Outcome, error) {
			return nil, refusal.New(reason.OtherContent.With("it"))
		}
	})
	if s.url != "http://b/" || !strings.Contains(s.told, "no candidate continues it") || s.taken != "" {
		t.Errorf("everybody has other content: asked at %q, told %q", s.url, s.told)
	}
}

// Two servers are asked beside each other only where the first has not answered for a while, and never about a request of which nothing
// has been answered.
func TestOthersAreAskedBesideOneThatIsSilent(t *testing.T) {
	silentOne := func(s *stream) {
		s.ask = func(ctx context.Context, iface string) (*delivery.Outcome, error) {
			if iface == "wlan0" {
				return nil, never(ctx)
			}
			return &delivery.Outcome{}, nil
		}
	}
	s, took := recovers(t, 8, Ended, true, silentOne)
	if s.taken != "wwan0" || took < askAside || took > lastAside+50*time.Millisecond {
		t.Errorf("taken over %q after %v", s.taken, took)
	}
	s, _ = recovers(t, 100, Ended, false, silentOne)
	if s.taken != "" || len(s.asked) != 1 || s.told == "" {
		t.Errorf("taken over %q, asked over %v, told %q", s.taken, s.asked, s.told)
	}
}

// The program need not know that it was suspected, and nothing of what was asked reaches it.
func TestTheOldConnectionStaysIfItSpeaks(t *testing.T) {
	s, took := recovers(t, 100, Silent, true, func(s *stream) {
		s.ask = func(ctx context.Context, _ string) (*delivery.Outcome, error) { return nil, never(ctx) }
		time.AfterFunc(200*time.Millisecond, func() {
			s.with(func() { s.had++ })
			s.change(func(*State) {})
		})
	})
	if s.taken != "" || s.told != "" || !s.spoke || took < 200*time.Millisecond || took > 200*time.Millisecond+tick {
		t.Errorf("taken over %q, told %q, spoke %v, after %v", s.taken, s.told, s.spoke, took)
	}
	// It speaks while the answer is on its way to the descriptor: that has the last word.
	s, _ = recovers(t, 100, Silent, true, func(s *stream) {
		s.ask = func(context.Context, string) (*delivery.Outcome, error) {
			s.with(func() { s.had++ })
			return &delivery.Outcome{}, nil
		}
	})
	if s.taken != "" || !s.spoke {
		t.Errorf("taken over %q, spoke %v", s.taken, s.spoke)
	}
}

func TestANetworkThatComesIsTakenAtOnce(t *testing.T) {
	s, took := recovers(t, 8, PathLost, true, func(s *stream) {
		s.usable = nil
		time.AfterFunc(5*time.Second, func() {
			s.with(func() {
				s.usable = []string{"wwan0"}
				close(s.news)
				s.news = make(chan struct{})
			})
		})
	})
	if s.taken != "wwan0" || took < 5*time.Second || took > 5*time.Second+100*time.Millisecond {
		t.Errorf("taken over %q after %v", s.taken, took)
	}
}

// What has been sent over an interface that goes away is not waited for.
func TestWhatIsUnderWayOverALostInterfaceIsCalledOff(t *testing.T) {
	var ended []error
	s, took := recovers(t, 100, Ended, true, func(s *stream) {
		s.usable = []string{"wwan0"}
		s.ask = func(ctx context.Context, _ string) (*delivery.Outcome, error) {
			err := never(ctx)
			s.with(func() { ended = append(ended, err) })
			return nil, &refusal.Refusal{Why: reason.NotWaited.Alone(), Server: true, Passing: true, Ours: true}
		}
		time.AfterFunc(2*time.Second, func() {
			s.with(func() {
				s.usable, s.ask = []string{"eth0"}, nil
				close(s.news)
				s.news = make(chan struct{})
			})
		})
	})
	if s.taken != "eth0" || took > 2*time.Second+200*time.Millisecond || len(ended) == 0 || !errors.Is(ended[0], context.Canceled) {
		t.Errorf("taken over %q after %v, %v", s.taken, took, ended)
	}
}

func TestWhatNeedsNoRecoveryHasNone(t *testing.T) {
	for name, x := range map[string]struct {
		cause string
		set   func(*State)
		told  bool
	}{
		"it cannot be moved":              {Ended, func(s *State) { s.Movable = false }, true},
		"its path is there again":         {PathLost, func(s *State) { s.Lost = false }, true},
		"something has come":              {Silent, func(s *State) { s.Flow.Received-- }, true},
		"several networks feed it":        {PathLost, func(s *State) { s.Several = true }, true},
		"between two exchanges":           {Ended, func(s *State) { s.Exchange = nil }, true},
		"it is held all the same":         {PathLost, func(s *State) { s.Lost, s.Held, s.Several = false, true, true }, false},
		"it is silent, and its path dead": {Silent, func(s *State) { s.Flow.Verdict = silence.Dead }, false},
	} {
		t.Run(name, func(t *testing.T) {
			s, _ := recovers(t, 8, x.cause, true, func(s *stream) { x.set(&s.state) })
			if told := s.told == reason.MovableNoMore.Error(); told != x.told || told == (s.taken != "") {
				t.Errorf("told %q, taken over %q", s.told, s.taken)
			}
		})
	}
}
