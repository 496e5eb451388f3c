package relay

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"midstream/core/channel"
	"midstream/core/dial"
	"midstream/core/dial/dialtest"
	"midstream/core/http1"
	"midstream/core/turn"
)

// scripted is a stream, and where its requests go, whose owner does what the test says.
type scripted struct {
	t     *testing.T
	turn  *turn.Turn
	close func()
	ctx   context.Context
	log   zerolog.Logger

	cut    func(until, chunk int64) error
	rejoin func() (Put, error)
	later  []Later

	script   sync.Mutex
	giveBack func(ctx context.Context) error
	next     *dial.Conn    // for the next that connects; nil: nobody is there
	answered chan struct{} // closed: no more than one request waits
	other    Upstream      // where requests go that are for somebody else; nil: none are
}

func (s *scripted) Turn() *turn.Turn { return s.turn }
func (s *scripted) AwaitClose(ctx context.Context) {
	select {
	case <-s.ctx.Done():
	case <-ctx.Done():
	}
}
func (s *scripted) AwaitAnswers(ctx context.Context) error {
	select {
	case <-s.answered:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
func (s *scripted) Gone() bool { return s.ctx.Err() != nil }
func (s *scripted) GiveBack(ctx context.Context, _ *dial.Conn, _ uint64) error {
	s.script.Lock()
	f := s.giveBack
	s.script.Unlock()
	return f(ctx)
}
func (s *scripted) CutThrough(_ context.Context, _ *dial.Conn, _ uint64, _, until, chunk int64) error {
	return s.cut(until, chunk)
}
func (s *scripted) Bound() int                                         { return 1 }
func (s *scripted) Rejoin(context.Context, uint64, int64) (Put, error) { return s.rejoin() }
func (s *scripted) Adopt(uint64) []Later                               { return s.later }
func (s *scripted) LetMove(int) bool                                   { return false }
func (s *scripted) Log() *zerolog.Logger                               { return &s.log }
func (s *scripted) Untouched() bool                                    { return s.other == nil }
func (s *scripted) Open() (*dial.Conn, error) {
	s.script.Lock()
	defer s.script.Unlock()
	if s.next == nil {
		return nil, errors.New("nobody is there")
	}
	return s.next, nil
}

// returns has the connection given back from now on as f says.
func (s *scripted) returns(f func(ctx context.Context) error) {
	s.script.Lock()
	defer s.script.Unlock()
	s.giveBack = f
}
func (s *scripted) MayRepeat(*dial.Conn) bool                  { return true }
func (s *scripted) For(*http1.Request) (Upstream, bool, error) { return s.other, false, nil }
func (s *scripted) Rewrite(r *http1.Request) ([]byte, error) {
	return []byte(r.Method + " " + r.Target + " HTTP/1.1\r\n\r\n"), nil
}

// stage is a relay with the program before it and the server behind it.
type stage struct {
	*scripted
	relay   *Relay
	program *dial.Conn
	server  net.Conn // the server's end
	source  *Source

	mu     sync.Mutex
	states []State
	more   chan struct{}
}

func newStage(t *testing.T) *stage {
	t.Helper()
	pair, err := NewPair(syscall.AF_INET)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pair.Close)
	conn, server := dialtest.Pair(t)
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	s := &scripted{t: t, turn: turn.New(func() {}), ctx: ctx, close: cancel, log: zerolog.Nop(), answered: make(chan struct{}),
		giveBack: func(context.Context) error { return errors.New("not now") },
		cut:      func(int64, int64) error { return errors.New("not now") },
	}
	st := &stage{scripted: s, program: pair.Program, server: server, more: make(chan struct{}, 64), states: []State{Placed}}
	born = st.watch
	t.Cleanup(func() { born = nil })
	st.relay = New(s, s, Put{Core: pair.Core}, 7)
	st.source = &Source{Conn: conn, Reusable: true}
	return st
}

// connects has the server accept another connection.
func (s *stage) connects() {
	conn, server := dialtest.Pair(s.t)
	s.script.Lock()
	defer s.script.Unlock()
	s.next, s.server = conn, server
}

// watch notes the states of a relay from now on.
func (s *stage) watch(r *Relay) {
	r.machine.entered = func(next State) {
		s.mu.Lock()
		s.states = append(s.states, next)
		s.mu.Unlock()
		s.more <- struct{}{}
	}
}

// expect waits until the relay has been in these states one after the other.
func (s *stage) expect(want ...State) {
	s.t.Helper()
	for end := time.After(10 * time.Second); ; {
		s.mu.Lock()
		have := slices.Clone(s.states)
		s.mu.Unlock()
		if slices.Equal(have, want) {
			return
		}
		select {
		case <-s.more:
		case <-end:
			s.t.Fatalf("the states were %v, not %v", have, want)
		}
	}
}

// feeds is the exchange whose response is fed: length octets of content are left, of which the server has sent these.
func (s *stage) feeds(length int64, persistent bool, sent string) {
	s.source.Framing = http1.Framing{Kind: http1.Length, Length: length}
	s.source.Left = length
	s.source.Content = NewContent(s.source.Conn, s.source.Framing)
	if sent != "" { // a write of nothing would wait for one that is under way
		io.WriteString(s.server, sent)
	}
	s.relay.Feed(s.source, Exchange{Number: 7, Kind: http1.Length, Persistent: persistent}, channel.Position{Phase: channel.PhaseLength})
}

// reads expects the program to read this next.
func (s *stage) reads(want string) {
	s.t.Helper()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(s.program, got); err != nil || string(got) != want {
		s.t.Fatalf("the program reads %q, %v; not %q", got, err, want)
	}
}

// ends expects the program to meet the end of its connection.
func (s *stage) ends(want error) {
	s.t.Helper()
	s.program.SetReadDeadline(time.Now().Add(10 * time.Second))
	if n, err := s.program.Read(make([]byte, 1)); n != 0 || !errors.Is(err, want) {
		s.t.Fatalf("the program reads %d octets, %v; not %v", n, err, want)
	}
}

// asks has the program send a request, and expects it at the server.
func (s *stage) asks(target string) {
	s.t.Helper()
	request := "GET " + target + " HTTP/1.1\r\n\r\n"
	io.WriteString(s.program, request)
	got := make([]byte, len(request))
	if _, err := io.ReadFull(s.server, got); err != nil || string(got) != request {
		s.t.Fatalf("the server reads %q, %v", got, err)
	}
}

func (s *stage) answers(content, more string) {
	fmt.Fprintf(s.server, "HTTP/1.1 200 OK\r\n%sContent-Length: %d\r\n\r\n%s", more, len(content), content)
}

func TestAResponseThatEndsTheConnectionIsFinished(t *testing.T) {
	s := newStage(t)
	s.feeds(5, false, "hello")
	s.reads("hello")
	s.expect(Placed, Feeding, Finishing)
	s.ends(io.EOF)
	s.close()
	s.expect(Placed, Feeding, Finishing, Over)
}

func TestAConnectionThatServesOnReturnsDirectly(t *testing.T) {
	s := newStage(t)
	s.returns(func(context.Context) error { return nil })
	s.feeds(5, true, "hello")
	s.expect(Placed, Feeding, Returning, Direct)
	if !s.turn.Try() {
		t.Error("the turn has not been given back")
	}
}

func TestARelayThatCannotReturnPassesOn(t *testing.T) {
	s := newStage(t)
	s.feeds(5, true, "hello")
	s.reads("hello")
	s.expect(Placed, Feeding, Returning, Passing)
	s.returns(func(context.Context) error { return nil })
	s.asks("/b")
	s.answers("again", "")
	s.expect(Placed, Feeding, Returning, Passing, Returning, Direct)
}

func TestARelayThatWaitsForItsTurnIsCalledOff(t *testing.T) {
	s := newStage(t)
	s.returns(func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
	s.feeds(5, true, "hello")
	s.expect(Placed, Feeding, Returning)
	if err := s.turn.Take(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.expect(Placed, Feeding, Returning, Passing)
	s.turn.Give()
	s.close()
	s.expect(Placed, Feeding, Returning, Passing, Over)
}

func TestAStreamThatIsClosedWhileItsRelayReturns(t *testing.T) {
	s := newStage(t)
	s.turn.Try() // somebody else has it
	s.feeds(5, true, "hello")
	s.expect(Placed, Feeding, Returning)
	s.close()
	s.expect(Placed, Feeding, Returning, Over)
}

func TestTheNextRequestMakesAConnectionWhereTheFormerServesNoMore(t *testing.T) {
	s := newStage(t)
	s.source.Reusable = false
	s.feeds(5, true, "hello")
	s.reads("hello")
	s.expect(Placed, Feeding, Waiting)
	s.connects()
	s.asks("/b")
	s.expect(Placed, Feeding, Waiting, Passing)
	s.answers("again", "")
	s.reads("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nagain")
	s.expect(Placed, Feeding, Waiting, Passing, Returning, Passing)
}

func TestAProgramThatEndsWhileNobodyIsConnected(t *testing.T) {
	s := newStage(t)
	s.source.Reusable = false
	s.feeds(5, true, "hello")
	s.expect(Placed, Feeding, Waiting)
	s.program.CloseWrite()
	s.expect(Placed, Feeding, Waiting, Finishing)
}

func TestAServerThatClosesBetweenTwoResponsesIsNotNoticed(t *testing.T) {
	s := newStage(t)
	s.relay.Pass(s.source, "")
	s.expect(Placed, Passing)
	s.server.Close()
	s.expect(Placed, Passing, Waiting)
	s.connects()
	s.asks("/b")
	s.expect(Placed, Passing, Waiting, Passing)
	s.answers("bye", "Connection: close\r\n")
	s.expect(Placed, Passing, Waiting, Passing, Finishing)
	s.reads("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 3\r\n\r\nbye")
	s.ends(io.EOF)
}

func TestAResponseWhoseHeadWasTakenIsPassedOnWhole(t *testing.T) {
	s := newStage(t)
	head := "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"
	answer, err := http1.ParseResponse([]byte(head))
	if err != nil {
		t.Fatal(err)
	}
	s.source.Answer, s.source.Begin = answer, []byte(head)
	io.WriteString(s.server, "hello")
	s.returns(func(context.Context) error { return nil })
	s.relay.Pass(s.source, "GET")
	s.reads(head + "hello")
	s.expect(Placed, Passing, Returning, Direct)
}

func TestAnAnswerThatBreaksOffIsResetWhereTheEndWouldMeanSomething(t *testing.T) {
	s := newStage(t)
	s.source.Framing = http1.Framing{Kind: http1.Length, Length: 9}
	s.source.Left, s.source.Content = 9, NewContent(s.source.Conn, s.source.Framing)
	io.WriteString(s.server, "hello")
	s.server.Close()
	s.relay.Feed(s.source, Exchange{Number: 7, Kind: http1.Close}, channel.Position{Phase: channel.PhaseClose})
	s.expect(Placed, Feeding, Over)
	if rest, err := io.ReadAll(s.program); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("%q, %v", rest, err)
	}
}

func TestAnAnswerThatBreaksOffEndsAsItWouldWithoutARelay(t *testing.T) {
	s := newStage(t)
	s.feeds(9, true, "hello")
	s.server.Close()
	s.reads("hello")
	s.expect(Placed, Feeding, Finishing)
	s.ends(io.EOF)
}

func TestAnAbandonedRelayIsOver(t *testing.T) {
	s := newStage(t)
	s.relay.Abandon(errors.New("the program has begun another head"))
	s.expect(Placed, Over)
	s.ends(syscall.ECONNRESET)
}

// long is content for which it is worth to leave a relay.
var long = bytes.Repeat([]byte("0123456789abcdef"), (cutLeast+1<<20)/16)

func TestALongRunIsCutThroughAndTheRestFed(t *testing.T) {
	s := newStage(t)
	var until int64
	s.cut = func(to, chunk int64) error {
		if until = to; chunk != 0 {
			t.Errorf("%d octets of a chunk", chunk)
		}
		return nil
	}
	program, back := s.program, make(chan struct{})
	s.rejoin = func() (Put, error) {
		// What the program reads from the connection itself up to the last octet.
		if _, err := io.CopyN(io.Discard, s.source.Conn, until); err != nil {
			return Put{}, err
		}
		pair, err := NewPair(syscall.AF_INET)
		if err != nil {
			return Put{}, err
		}
		t.Cleanup(pair.Close)
		program = pair.Program
		close(back)
		return Put{Core: pair.Core, Position: channel.Position{Phase: channel.PhaseLength, Received: until}}, nil
	}
	go s.server.Write(long)
	s.feeds(int64(len(long)), false, "")
	<-back
	s.expect(Placed, Feeding, CutThrough, Feeding, Finishing)
	s.program = program
	if got, err := io.ReadAll(program); err != nil || until != int64(len(long))-1 || !bytes.Equal(got, long[until:]) {
		t.Errorf("until %d, then %q, %v", until, got, err)
	}
}

// What several connections have brought together ends where one brings the rest: that one takes the relay's place.
func TestWhatSeveralHaveBroughtIsLeftToOne(t *testing.T) {
	s := newStage(t)
	rest, server := dialtest.Pair(t)
	var until int64
	s.cut = func(to, _ int64) error {
		until = to
		return nil
	}
	closed, back := make(chan struct{}), make(chan struct{})
	s.rejoin = func() (Put, error) {
		close(back)
		return Put{}, errors.New("not now")
	}
	together, their := net.Pipe()
	const first = 100_000
	go func() {
		their.Write(long[:first])
		their.Close()
	}()
	go server.Write(long[first:])
	s.source.Reusable, s.source.Left, s.source.Framing = false, int64(len(long)), http1.Framing{Kind: http1.Length, Length: int64(len(long))}
	s.source.Content = NewContent(together, s.source.Framing)
	s.source.Several = sync.OnceFunc(func() { close(closed) })
	s.source.Rest = func() (*dial.Conn, bool) { return rest, true }
	got := make(chan []byte)
	go func() {
		b := make([]byte, first)
		io.ReadFull(s.program, b)
		got <- b
	}()
	s.relay.Feed(s.source, Exchange{Number: 7, Kind: http1.Length, Persistent: true}, channel.Position{Phase: channel.PhaseLength})
	if !bytes.Equal(<-got, long[:first]) {
		t.Error("the program has read other octets")
	}
	<-closed
	<-back
	if until != int64(len(long))-1 || s.source.Conn != rest {
		t.Errorf("cut through up to %d", until)
	}
	s.expect(Placed, Feeding, CutThrough)
}

func TestChunksThatMeetChunksAreLeftForGood(t *testing.T) {
	s := newStage(t)
	s.cut = func(until, _ int64) error {
		if until != 0 {
			t.Errorf("until %d", until)
		}
		return nil
	}
	s.source.Framing, s.source.Whole = http1.Framing{Kind: http1.Chunked}, true
	s.source.Left, s.source.Content = Unknown, NewContent(s.source.Conn, s.source.Framing)
	go func() {
		for range 2 {
			fmt.Fprintf(s.server, "%x\r\n%s\r\n", len(long), long)
		}
	}()
	go io.Copy(io.Discard, bufio.NewReader(s.program))
	s.relay.Feed(s.source, Exchange{Number: 7, Kind: http1.Chunked, Persistent: true}, channel.Position{Phase: channel.PhaseChunkSize})
	s.expect(Placed, Feeding, Direct)
}

func TestARequestForAnotherServerWaitsForTheAnswersOfTheFirst(t *testing.T) {
	s := newStage(t)
	s.other = s.scripted
	s.connects()
	s.relay.Pass(s.source, "")
	io.WriteString(s.program, "GET http://b.example/x HTTP/1.1\r\n\r\n")
	s.expect(Placed, Passing)
	close(s.answered)
	got := make([]byte, 14)
	if _, err := io.ReadFull(s.server, got); err != nil || !strings.HasPrefix(string(got), "GET ") {
		t.Fatalf("%q, %v", got, err)
	}
	s.expect(Placed, Passing, Waiting, Passing)
}

// No other transition than those of the table is made, and none of them is without a test above.
func TestOnlyTheTransitionsOfTheTableAreMade(t *testing.T) {
	for from := Placed; from <= Over; from++ {
		for next := Placed; next <= Over; next++ {
			m := machine{state: from}
			allowed := from == next || slices.Contains(transitions[from], next)
			if m.to(next) != allowed || (m.now() == next) != allowed {
				t.Errorf("from %v to %v: %t", from, next, !allowed)
			}
		}
		if from.String() == "" {
			t.Errorf("state %d has no name", from)
		}
	}
	if State(99).String() != "state 99" {
		t.Error(State(99))
	}
}
