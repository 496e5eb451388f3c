// The way of a migration of a stream that does as the test says, up to where a server is asked.
package migration

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"midstream/core/channel"
	"midstream/core/config"
	"midstream/core/control"
	"midstream/core/delivery"
	"midstream/core/dial"
	"midstream/core/digest"
	"midstream/core/elsewhere"
	"midstream/core/exchange"
	"midstream/core/http1"
	"midstream/core/metalink"
	"midstream/core/reason"
	"midstream/core/resume"
	"midstream/core/silence"
	"midstream/core/turn"
)

// stream notes what it is asked to do; what a test does not expect to be asked, it has not.
type stream struct {
	Stream

	turn    *turn.Turn
	state   State
	changed chan struct{}
	inquire func()
	barred  reason.Reason
	at      bool
	refuses error // opening a connection
	probes  silence.Verdict

	mu  sync.Mutex // of what follows, and of changed
	did []string
	why error
}

func newStream() *stream {
	s := &stream{changed: make(chan struct{}), refuses: errors.New("no way")}
	s.turn = turn.New(func() {})
	s.state = State{Interface: "wlan0"}
	return s
}

func (s *stream) Read() (channel.Snapshot, bool) {
	return channel.Snapshot{Exchange: 1, Received: 1000}, true
}
func (s *stream) Tail(uint64, int64, int) []byte             { return nil }
func (s *stream) Digest(uint64) (int64, digest.Digest, bool) { return 0, digest.Digest{}, false }

// exchange is one of which the program has had 1000 octets, or none of the answer.
func (s *stream) exchange(answered bool) *exchange.Exchange {
	e := exchange.New(1, false, config.ProofTrust, s)
	e.AddRequest([]byte("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), true)
	if answered {
		s.answer(e)
	}
	return e
}

func (s *stream) answer(e *exchange.Exchange) {
	e.AddAnswer([]byte("HTTP/1.1 200 OK\r\nETag: \"a\"\r\nContent-Length: 1000000\r\n\r\n"))
	e.EndHead(channel.PhaseLength, 1_000_000)
}

func (s *stream) note(what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.did = append(s.did, what)
}

func (s *stream) all() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.did)
}

func (s *stream) changes() chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changed
}

func (s *stream) Wake() {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *stream) Turn() *turn.Turn                { return s.turn }
func (s *stream) State() State                    { return s.state }
func (s *stream) At(context.Context, string) bool { return s.at }
func (s *stream) Keep(iface, trigger string)      { s.note("stays by " + trigger) }
func (s *stream) Migrating(bool)                  {}
func (s *stream) End() control.End                { return control.End{Interface: s.state.Interface} }
func (s *stream) Refresh(context.Context)         {}
func (s *stream) Unshared(context.Context) error  { return nil }
func (s *stream) Barred(string) reason.Reason     { return s.barred }
func (s *stream) KeepTail(bool)                   {}
func (s *stream) Metered(iface string) bool       { return iface == "wwan0" }
func (s *stream) Log() *zerolog.Logger            { nop := zerolog.Nop(); return &nop }
func (s *stream) Refused(_ string, err error)     { s.why = err }
func (s *stream) Inquire(context.Context) error {
	s.note("inquires")
	if s.inquire == nil {
		return errors.New("closed")
	}
	s.inquire()
	return nil
}

func (s *stream) Await(ctx context.Context, ready func(State) (bool, error)) error {
	for {
		changed := s.changes()
		if done, err := ready(s.state); done {
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (s *stream) Probe(context.Context, time.Duration) silence.Verdict {
	s.note("probes")
	return s.probes
}

func (s *stream) Describe(context.Context, []string, *exchange.Exchange) {}
func (s *stream) Pieces(*exchange.Exchange) *metalink.Pieces             { return nil }
func (s *stream) Elsewhere(*exchange.Exchange) []elsewhere.Place         { return nil }
func (s *stream) Asker(e *exchange.Exchange) *resume.HTTP {
	return &resume.HTTP{Exchange: &e.Exchange, Receiver: e}
}

func (s *stream) Destination(iface string, _ *http1.Request) (resume.Destination, error) {
	return resume.Destination{Interface: iface, Host: "a", Port: 80}, nil
}

func (s *stream) Open(_ context.Context, to resume.Destination) (*dial.Conn, error) {
	s.note("opens over " + to.Interface)
	return nil, s.refuses
}

func (s *stream) OverServers(_ context.Context, _ *exchange.Exchange, to resume.Destination, _ *dial.Conn, _ func(resume.Destination, *dial.Conn) error) error {
	s.note("asks over " + to.Interface)
	if to.Fresh {
		s.note("fresh")
	}
	return s.refuses
}

func TestWhatIsAskedBeforeAServerIs(t *testing.T) {
	for name, x := range map[string]struct {
		set func(*stream)
		did []string
		why error
	}{
		"it is there already":   {func(s *stream) { s.at = true }, []string{"stays by request"}, nil},
		"it cannot be moved":    {func(s *stream) { s.state.Why = reason.NotGet.Alone() }, []string{"inquires"}, reason.NotGet},
		"a tunnel is not left":  {func(s *stream) { s.barred = reason.LeavesTunnel.With("wg0") }, nil, reason.LeavesTunnel},
		"between two exchanges": {func(s *stream) { s.state.Current, s.state.Last = nil, s.state.Current }, []string{"opens over wwan0"}, nil},
		"amid a response":       {func(*stream) {}, []string{"asks over wwan0", "fresh"}, nil},
		"it could not a moment ago": {func(s *stream) {
			s.state.Why = reason.Ended.Alone()
			s.inquire = func() { s.state.Why = reason.Reason{} }
		}, []string{"inquires", "asks over wwan0", "fresh"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStream()
			s.state.Current = s.exchange(true)
			x.set(s)
			if x.why == nil && len(x.did) > 0 && x.did[0] != "stays by request" {
				x.why = s.refuses
			}
			_, err := New(s, config.Default()).Migrate(t.Context(), "wwan0", "request")
			if !errors.Is(err, x.why) || !errors.Is(s.why, x.why) || !slices.Equal(s.all(), x.did) {
				t.Errorf("%v, told %v, did %q", err, s.why, s.all())
			}
		})
	}
}

// A stream that moves on each time is not followed for ever.
func TestAMigrationStartsAnewSoOften(t *testing.T) {
	s := newStream()
	s.state.Current, s.refuses = s.exchange(true), resume.ErrAgain
	if _, err := New(s, config.Default()).Migrate(t.Context(), "wwan0", "request"); !errors.Is(err, resume.ErrAgain) || len(s.all()) != 2*MaxAttempts {
		t.Errorf("%v, did %q", err, s.all())
	}
}

func TestWhatSeveralConnectionsFeedIsMovedToWhereItIs(t *testing.T) {
	s := newStream()
	s.state.Current, s.at = s.exchange(true), true
	still := true
	from := &Gathering{Still: func() bool { return still }, Held: func() int64 { return 0 }}
	if _, err := New(s, config.Default()).Gather(t.Context(), s.state.Interface, "request", from); !errors.Is(err, s.refuses) || !slices.Equal(s.all(), []string{"asks over wlan0", "fresh"}) {
		t.Error(err, s.all())
	}
	before := len(s.all())
	still = false
	if done, err := New(s, config.Default()).Gather(t.Context(), s.state.Interface, "request", from); done != nil || err != nil || len(s.all()) != before {
		t.Error(done, err, s.all())
	}
}

func TestOneMigrationAtATime(t *testing.T) {
	s := newStream()
	s.turn.Take(t.Context())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := New(s, config.Default()).Migrate(ctx, "wwan0", "request"); !errors.Is(err, reason.Moving) {
		t.Error(err)
	}
}

// A request of which no octet of answer has come waits for that, unless its path is found dead.
func TestAnUnansweredRequestIsWaitedWith(t *testing.T) {
	for name, dead := range map[string]bool{"answered": false, "its path is dead": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStream()
				e := s.exchange(false)
				s.state.Current = e
				ended := make(chan error)
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				if dead {
					s.probes = silence.Dead
				}
				go func() {
					_, err := New(s, config.Default()).Migrate(ctx, "wwan0", "request")
					ended <- err
				}()
				synctest.Wait()
				if len(s.all()) > 0 {
					t.Errorf("did %q", s.all())
				}
				if !dead {
					s.answer(e)
					s.Wake()
				}
				if err := <-ended; !errors.Is(err, s.refuses) || !slices.Contains(s.all(), "asks over wwan0") || slices.Contains(s.all(), "probes") != dead {
					t.Errorf("%v, did %q", err, s.all())
				}
			})
		})
	}
}

func TestWhatMayBeSkipped(t *testing.T) {
	c := config.Default()
	c.Migration.SkipLimit = 10 * meteredSkip
	m := New(newStream(), c)
	for _, x := range []struct {
		iface string
		vain  bool
		want  int64
	}{{"eth0", false, 10 * meteredSkip}, {"wwan0", false, meteredSkip}, {"eth0", true, repeatedSkip}, {"wwan0", true, repeatedSkip}} {
		if got := m.maySkip(x.iface, x.vain); got != x.want {
			t.Errorf("%+v: %d", x, got)
		}
	}
}

func TestOnlyTheShimsWordMeansThatTheOffsetWasNotReached(t *testing.T) {
	for why, is := range map[reason.Code]bool{reason.NotAsFar: true, reason.CalledOff: true, reason.Forked: false, reason.CallStays: false} {
		if got := callableOff(&delivery.Unmoved{Reason: why.Alone()}); got != is {
			t.Errorf("%v: %v", why, got)
		}
	}
	if callableOff(reason.NotAsFar) {
		t.Error("nobody has refused a hand-over")
	}
}
