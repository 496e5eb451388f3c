// Reaching a server of the same name over another interface.
package controller

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"syscall"
	"time"

	"midstream/core/dial"
	"midstream/core/netif"
	"midstream/core/resolve"
)

const ipprotoMPTCP = 262

// open connects to the route's host over its interface, found by that interface's resolver. The server the
// stream is at now comes first if the other network knows it too.
func (s *Stream) open(ctx context.Context, r route) (*dial.Conn, error) {
	if len(r.avoid) == 0 && !r.fresh {
		// Before the kernel is asked for anything: it answers nobody while it takes the old interface away.
		if conn := s.ready(r); conn != nil {
			return conn, nil
		}
	}
	if _, err := netif.ByName(r.iface); err != nil {
		return nil, err
	}
	if len(r.avoid) == 0 {
		return s.connect(ctx, r, netip.AddrPort{})
	}
	names := s.c.resolver(r.iface)
	for _, a := range r.avoid {
		names = &otherNames{Names: names, avoid: a.Addr().Unmap()}
	}
	return s.dial(ctx, names, r, netip.AddrPort{})
}

// dial connects to the route's host, to the preferred address first if the names have it.
func (s *Stream) dial(ctx context.Context, names dial.Names, r route, preferred netip.AddrPort) (*dial.Conn, error) {
	select {
	case s.c.dialing <- struct{}{}:
		defer func() { <-s.c.dialing }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	options := dial.Options{Device: r.iface, Multipath: s.opened.Protocol == ipprotoMPTCP}
	if s.opened.Domain == syscall.AF_INET6 {
		options.Domain = syscall.AF_INET6
	}
	names = &lawful{&known{names, s.inUse(r)}, s, r}
	tried := s.tries(r.iface)
	conn, err := dial.Host(ctx, names, r.host, r.port, preferred, options)
	tried(err)
	if err != nil {
		return nil, fmt.Errorf("no server of %s could be reached over %s: %w", r.host, r.iface, err)
	}
	if r.tunnel != nil {
		if err := s.bore(ctx, conn, r.tunnel, r.iface); err != nil {
			return nil, err
		}
	}
	return s.secure(ctx, conn)
}

// place returns the server the stream is at.
func (s *Stream) place() netip.AddrPort {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.server
}

// resolver returns the names as the interface's network knows them.
func (c *Controller) resolver(iface string) dial.Names {
	servers := c.config.Interfaces[iface].DNS
	if len(servers) == 0 {
		if i, ok := c.manager.Interface(iface); ok {
			servers = i.Resolvers
		}
	}
	if len(servers) == 0 {
		servers, _ = resolve.System()
	}
	servers = slices.DeleteFunc(slices.Clone(servers), func(server netip.AddrPort) bool { return c.astray("", iface, server.Addr()) != "" })
	return &sharedNames{c: &c.lookups, iface: iface, resolver: &resolve.Resolver{Servers: servers, Device: iface, Silence: silence}}
}

// silence is for how long name servers may say nothing: one that is gone must not cost more.
const silence = time.Second

// lookups lets streams that ask for the same name over the same interface at the same time share one answer, and
// keeps it for its time to live.
type lookups struct {
	mu sync.Mutex
	m  map[[2]string]*lookup
}

type lookup struct {
	begun   time.Time
	done    chan struct{}
	answers []resolve.Answer
	err     error
	expires time.Time
}

// maxLookups bounds what is kept; maxKept bounds how long.
const (
	maxLookups = 256
	maxKept    = time.Minute
	lateLookup = 100 * time.Millisecond
)

type sharedNames struct {
	c        *lookups
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
		l = &lookup{begun: time.Now(), done: make(chan struct{})}
		if n.c.m == nil || len(n.c.m) >= maxLookups {
			n.c.m = map[[2]string]*lookup{}
		}
		n.c.m[key] = l
	}
	n.c.mu.Unlock()
	if mine {
		l.err = n.resolver.LookupEach(ctx, host, func(a resolve.Answer) {
			l.answers = append(l.answers, a)
			each(a)
		})
		l.expires = time.Now().Add(l.ttl())
		close(l.done)
		return l.err
	}
	select {
	case <-l.done:
	case <-ctx.Done():
		return ctx.Err()
	}
	for _, a := range l.answers {
		each(a)
	}
	return l.err
}

// over reports whether the answer is there and has expired, or has been due for so long that its question may be lost.
func (l *lookup) over() bool {
	select {
	case <-l.done:
		return l.err != nil || time.Now().After(l.expires)
	default:
		return time.Since(l.begun) > lateLookup
	}
}

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
