// One question to several servers: who is asked when, and whose answer counts.

package resolve

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/miekg/dns"

	"midstream/core/guard"
)

// family looks up the addresses of one type, asking on where an answer ends in
// an alias.
func (r *Resolver) family(ctx context.Context, host string, qtype uint16) (Answer, error) {
	name := dns.Fqdn(host)
	ttl := uint32(1<<31 - 1)
	for range maxChain {
		msg, err := r.ask(ctx, name, qtype)
		if err != nil {
			return Answer{}, err
		}
		if msg.Rcode == dns.RcodeNameError {
			return Answer{}, ErrNXDomain
		}
		end := follow(msg.Answer, name, qtype)
		ttl = min(ttl, end.ttl)
		if len(end.addrs) > 0 {
			return Answer{Addrs: end.addrs, TTL: time.Duration(ttl) * time.Second}, nil
		}
		if equalNames(end.name, name) || hasSOA(msg.Ns) {
			return Answer{}, ErrNoData
		}
		name = end.name
	}
	return Answer{}, fmt.Errorf("more than %d aliases one after the other: %w", maxChain, ErrServFail)
}

// ask puts one question to the servers, in turn and again, until one answers
// with NOERROR or NXDOMAIN. A question once sent stays open while others are
// asked, so a slow path costs time but no answer. A server that answers with
// an error is not asked again.
func (r *Resolver) ask(ctx context.Context, name string, qtype uint16) (*dns.Msg, error) {
	servers := r.Servers[:min(len(r.Servers), maxServers)]
	n := len(servers)
	step := orDefault(r.Step, DefaultStep)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()

	type outcome struct {
		server int
		msg    *dns.Msg
		err    error
	}
	results := make(chan outcome, n*maxRounds)
	failed := make([]error, n) // the last error of each server
	final := make([]bool, n)   // it answered, with an error
	finals, running, next := 0, 0, 0
	turn := time.NewTimer(0)
	defer turn.Stop()
	silent := time.NewTimer(orDefault(r.Silence, time.Hour))
	defer silent.Stop()
	for {
		select {
		case <-silent.C:
			if len(results) > 0 {
				silent.Reset(0) // it is only that nobody has looked yet
				continue
			}
			if finals == 0 {
				return nil, fmt.Errorf("name server %v: %w for %v", servers[0], errSilent, r.Silence)
			}
		case <-turn.C:
			for next < n*maxRounds && final[next%n] {
				next++
			}
			if next == n*maxRounds {
				if running == 0 {
					return nil, first(failed)
				}
				continue
			}
			server, round := next%n, next/n
			next++
			running++
			go func() {
				defer guard.Recover()
				msg, err := r.exchange(ctx, servers[server], name, qtype)
				results <- outcome{server, msg, err}
			}()
			turn.Reset(step << round)
		case o := <-results:
			running--
			if o.err == nil && (o.msg.Rcode == dns.RcodeSuccess || o.msg.Rcode == dns.RcodeNameError) {
				return o.msg, nil
			}
			if o.err == nil {
				o.err = fmt.Errorf("it answered %s: %w", dns.RcodeToString[o.msg.Rcode], ErrServFail)
				if !final[o.server] {
					final[o.server] = true
					finals++
				}
			}
			failed[o.server] = fmt.Errorf("name server %v: %w", servers[o.server], o.err)
			if finals == n || running == 0 && next == n*maxRounds {
				return nil, first(failed)
			}
			if next%n != 0 { // the rest of the round need not wait
				turn.Reset(0)
			}
		case <-ctx.Done():
			if err := first(failed); err != nil {
				return nil, err
			}
			if errors.Is(ctx.Err(), context.Canceled) {
				return nil, ctx.Err()
			}
			return nil, fmt.Errorf("name server %v: no answer in time: %w", servers[0], ctx.Err())
		}
	}
}

var errSilent = errors.New("no answer")

// first returns the error of the first server that has one, those that
// answered before those that could not be asked.
func first(errs []error) (found error) {
	for _, err := range errs {
		if errors.Is(err, ErrServFail) {
			return err
		}
		if found == nil {
			found = err
		}
	}
	return found
}
