// Names as the network of an interface knows them, and which of their addresses are connected to.
package resume

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"time"

	"midstream/core/dial"
	"midstream/core/guard"
	"midstream/core/reason"
	"midstream/core/refusal"
	"midstream/core/resolve"
)

// Name servers that have said nothing for silence are taken for gone where an address is known to try instead. They may answer beside
// it until unanswered: on a busy machine answers are late as well, and the address may be one that no way leads to.
const (
	silence    = time.Second
	unanswered = 3 * time.Second
)

// Lookups lets streams that ask for the same name over the same interface at the same time share one answer, and
// keeps it for its time to live.
type Lookups struct {
	mu sync.Mutex
	m  map[[2]string]*lookup
}

// lookup is one for all who ask meanwhile. It is nobody's: whoever leaves, because it has what it needs, takes nothing from the others.
type lookup struct {
	begun time.Time

	mu      sync.Mutex
	answers []resolve.Answer
	err     error
	ended   bool
	expires time.Time
	changed chan struct{} // closed at the next change
}

// maxLookups bounds what is kept; maxKept bounds how long.
const (
	maxLookups = 256
	maxKept    = time.Minute
	lateLookup = 100 * time.Millisecond
)

type sharedNames struct {
	c        *Lookups
	iface    string
	resolver *resolve.Resolver
}

// LookupEach implements dial.Names.
func (n *sharedNames) LookupEach(ctx context.Context, host string, each func(resolve.Answer)) error {
	key := [2]string{n.iface, host}
	n.c.mu.Lock()
	l := n.c.m[key]
	mine := l == nil || l.over()
	if mine {
		l = &lookup{begun: time.Now(), changed: make(chan struct{})}
		if n.c.m == nil || len(n.c.m) >= maxLookups {
			n.c.m = map[[2]string]*lookup{}
		}
		n.c.m[key] = l
	}
	n.c.mu.Unlock()
	if mine {
		guard.Go(func() { l.run(n.resolver, host) })
	}
	for told := 0; ; {
		l.mu.Lock()
		answers, ended, err, changed := l.answers[told:], l.ended, l.err, l.changed
		l.mu.Unlock()
		for _, a := range answers {
			each(a)
		}
		told += len(answers)
		if ended {
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (l *lookup) run(r *resolve.Resolver, host string) {
	err := errors.New("the look-up broke off")
	defer func() {
		l.change(func() { l.err, l.ended, l.expires = err, true, time.Now().Add(l.ttl()) })
	}()
	err = r.LookupEach(context.Background(), host, func(a resolve.Answer) {
		l.change(func() { l.answers = append(l.answers, a) })
	})
}

func (l *lookup) change(what func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	what()
	close(l.changed)
	l.changed = make(chan struct{})
}

// over reports whether the answer is there and has expired, or has been due for so long that its question may be lost.
func (l *lookup) over() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return l.err != nil || time.Now().After(l.expires)
	}
	return time.Since(l.begun) > lateLookup
}

// ttl is for how long the answers hold. With mu.
func (l *lookup) ttl() time.Duration {
	least := maxKept
	for _, a := range l.answers {
		least = min(least, a.TTL)
	}
	if len(l.answers) == 0 {
		return 0
	}
	// Streams moved by one trigger share an answer even if its time to live is 0.
	return max(least, time.Second)
}

// Over returns the names as the name servers have them that are asked over the interface.
func (l *Lookups) Over(iface string, servers []netip.AddrPort) dial.Names {
	return &sharedNames{c: l, iface: iface, resolver: &resolve.Resolver{Servers: servers, Device: iface, Silence: unanswered}}
}

// Lawful are names without the addresses to which no connection may be made over the interface.
type Lawful struct {
	dial.Names
	Unlawful func(netip.Addr) reason.Reason // why not, none if it may be connected to
}

// LookupEach implements dial.Names.
func (n *Lawful) LookupEach(ctx context.Context, host string, each func(resolve.Answer)) error {
	found, why := false, reason.Reason{}
	err := n.Names.LookupEach(ctx, host, func(a resolve.Answer) {
		left := make([]netip.Addr, 0, len(a.Addrs))
		for _, addr := range a.Addrs {
			if not := n.Unlawful(addr); !not.None() {
				why = not
			} else {
				left = append(left, addr)
			}
		}
		if a.Addrs = left; len(left) > 0 {
			found = true
			each(a)
		}
	})
	if !found && !why.None() {
		return &refusal.Refusal{Why: why}
	}
	return err
}

// Private reports whether the address is none of the public Internet's (RFC 6890).
func Private(addr netip.Addr) bool {
	addr = addr.Unmap()
	return addr.IsPrivate() || addr.IsLoopback() || addr.IsLinkLocalUnicast() || addr.IsUnspecified() || addr.IsMulticast() ||
		sharedSpace.Contains(addr) || thisNetwork.Contains(addr)
}

var (
	sharedSpace = netip.MustParsePrefix("100.64.0.0/10") // RFC 6598
	thisNetwork = netip.MustParsePrefix("0.0.0.0/8")
)

// Known are names that fall back upon addresses where the network's name servers cannot answer.
type Known struct {
	dial.Names
	Addrs []netip.Addr
}

// lateNames is how long name servers may take before an address that is the same in every network is tried beside.
const lateNames = 150 * time.Millisecond

// LookupEach implements dial.Names. A name of which the servers say that it does not exist, or has no address, has none.
func (n *Known) LookupEach(ctx context.Context, host string, each func(resolve.Answer)) error {
	var mu sync.Mutex // each is called by one at a time
	answered, over := false, false
	offered := map[netip.Addr]bool{}
	offer := func(private bool) {
		for _, addr := range n.Addrs {
			if !offered[addr] && (private || !Private(addr)) {
				offered[addr] = true
				each(resolve.Answer{Addrs: []netip.Addr{addr}})
			}
		}
	}
	offerAfter := func(delay time.Duration, private bool) *time.Timer {
		return time.AfterFunc(delay, func() {
			defer guard.Recover()
			mu.Lock()
			defer mu.Unlock()
			// What the servers have said of a private address holds for this network.
			if !over && ctx.Err() == nil && !(private && answered) {
				offer(private)
			}
		})
	}
	defer offerAfter(lateNames, false).Stop()
	defer offerAfter(silence, true).Stop()
	err := n.Names.LookupEach(ctx, host, func(a resolve.Answer) {
		mu.Lock()
		defer mu.Unlock()
		answered = true
		each(a)
	})
	mu.Lock()
	defer mu.Unlock()
	over = true
	if err == nil || answered || ctx.Err() != nil || errors.Is(err, resolve.ErrNXDomain) || errors.Is(err, resolve.ErrNoData) || errors.Is(err, resolve.ErrBadName) {
		return err
	}
	offer(true)
	if len(offered) > 0 {
		return nil
	}
	return err
}

// Others leaves one address out, and with Alike those of the other family.
type Others struct {
	dial.Names
	Avoid netip.Addr
	Alike bool
}

// LookupEach implements dial.Names.
func (n *Others) LookupEach(ctx context.Context, host string, each func(resolve.Answer)) error {
	return n.Names.LookupEach(ctx, host, func(a resolve.Answer) {
		left := make([]netip.Addr, 0, len(a.Addrs))
		for _, addr := range a.Addrs {
			if addr = addr.Unmap(); addr != n.Avoid && (!n.Alike || addr.Is4() == n.Avoid.Is4()) {
				left = append(left, addr)
			}
		}
		if a.Addrs = left; len(left) > 0 {
			each(a)
		}
	})
}
