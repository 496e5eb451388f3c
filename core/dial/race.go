// The race of a server's addresses: RFC 8305 section 5.

package dial

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"midstream/core/guard"
)

const (
	defaultStagger = 250 * time.Millisecond // RFC 8305 section 8
	preferredDelay = 50 * time.Millisecond  // how long the other family waits for the preferred address to turn up
)

// ErrNoCandidate says that there was no address to connect to.
var ErrNoCandidate = errors.New("there is no address to connect to")

// RaceError lists what became of each attempt.
type RaceError struct {
	Device   string
	Attempts []Attempt // in the order in which they failed
}

// Attempt is one failed connection attempt.
type Attempt struct {
	To  netip.AddrPort
	Err error
}

func (e *RaceError) Error() string {
	var b strings.Builder
	b.WriteString("connect")
	if e.Device != "" {
		b.WriteString(" over " + e.Device)
	}
	for i, a := range e.Attempts {
		b.WriteString([]string{": ", "; "}[min(i, 1)])
		fmt.Fprintf(&b, "%v: %v", a.To, a.Err)
	}
	return b.String()
}

func (e *RaceError) Unwrap() []error {
	errs := make([]error, len(e.Attempts))
	for i, a := range e.Attempts {
		errs[i] = a.Err
	}
	return errs
}

// Candidates returns a closed channel that holds the addresses as one batch.
func Candidates(addrs ...netip.AddrPort) <-chan []netip.AddrPort {
	ch := make(chan []netip.AddrPort, 1)
	ch <- addrs
	close(ch)
	return ch
}

// Race connects to the candidates until one attempt succeeds, and returns that
// connection; the other attempts are over and closed when it returns. The
// candidates come in batches, as the resolver finds them, until the channel is
// closed. preferred, if valid, is tried first, provided it is among them. An
// attempt starts when the one before fails, or after opts.Stagger. The end of
// ctx ends the race. The error is ErrNoCandidate, ctx's, or a *RaceError.
func Race(ctx context.Context, candidates <-chan []netip.AddrPort, preferred netip.AddrPort, opts Options) (*Conn, error) {
	type outcome struct {
		to   netip.AddrPort
		conn *Conn
		err  error
	}
	attempts, giveUp := context.WithCancel(ctx)
	results := make(chan outcome)
	running := 0
	defer func() {
		giveUp()
		for ; running > 0; running-- {
			if late := <-results; late.conn != nil {
				late.conn.Reset()
			}
		}
	}()

	stagger := opts.Stagger
	if stagger <= 0 {
		stagger = defaultStagger
	}
	waiting := newQueue(preferred, hasIPv6(opts.Device))
	failures := &RaceError{Device: opts.Device}
	started := false
	turn := time.NewTimer(time.Hour) // when the next attempt may start
	turn.Stop()
	defer turn.Stop()
	free := true // no attempt stands in the way of the next
	over := ctx.Done()
	for {
		if free && !waiting.empty() && (started || candidates == nil || !waiting.awaits()) {
			to := waiting.take()
			started, free = true, false
			running++
			go func() {
				defer guard.Recover()
				conn, err := connect(attempts, to, &opts)
				results <- outcome{to, conn, err}
			}()
			turn.Reset(stagger)
		}
		if running == 0 && waiting.empty() && candidates == nil {
			if !started {
				return nil, ErrNoCandidate
			}
			return nil, failures
		}
		select {
		case batch, open := <-candidates:
			if !open {
				candidates = nil
				continue
			}
			waiting.add(batch)
			if !started && waiting.awaits() {
				turn.Reset(preferredDelay)
			}
		case o := <-results:
			running--
			if o.err == nil {
				return o.conn, nil
			}
			failures.Attempts = append(failures.Attempts, Attempt{o.to, o.err})
			free = true
		case <-turn.C:
			waiting.patient = false
			free = true
		case <-over:
			if running == 0 {
				if len(failures.Attempts) > 0 {
					return nil, failures
				}
				return nil, fmt.Errorf("connect: no address in time: %w", context.Cause(ctx))
			}
			// The attempts end by themselves, each with its reason.
			over, candidates = nil, nil
			waiting = newQueue(netip.AddrPort{}, false)
		}
	}
}
