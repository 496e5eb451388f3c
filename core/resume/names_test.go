package resume

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"testing"
	"time"

	"midstream/core/resolve"
)

type scriptedNames func(ctx context.Context, each func(resolve.Answer)) error

func (f scriptedNames) LookupEach(ctx context.Context, _ string, each func(resolve.Answer)) error {
	return f(ctx, each)
}

var (
	private = netip.MustParseAddr("10.0.0.1")
	own     = netip.MustParseAddr("10.0.0.2")
)

// Servers that are late are waited for beside the address that is in use; what they say then counts.
func TestLateServersAreHeardBesideTheAddressInUse(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	offered := make(chan struct{}, 1)
	names := &Known{Addrs: []netip.Addr{private}, Names: scriptedNames(func(_ context.Context, each func(resolve.Answer)) error {
		<-offered
		each(resolve.Answer{Addrs: []netip.Addr{own}})
		return nil
	})}
	var all []netip.Addr
	err := names.LookupEach(ctx, "x", func(a resolve.Answer) {
		if all = append(all, a.Addrs...); len(all) == 1 {
			offered <- struct{}{}
		}
	})
	if err != nil || len(all) != 2 || all[0] != private || all[1] != own {
		t.Errorf("%v, %v", all, err)
	}
}

// An address of this network's is not beside those that its servers name, and where they say that there is none.
func TestAPrivateAddressIsNotOfferedAgainstTheServers(t *testing.T) {
	for _, said := range []error{nil, resolve.ErrNXDomain} {
		names := &Known{Addrs: []netip.Addr{private}, Names: scriptedNames(func(_ context.Context, each func(resolve.Answer)) error {
			if said == nil {
				each(resolve.Answer{Addrs: []netip.Addr{own}})
			}
			return said
		})}
		if err := names.LookupEach(t.Context(), "x", func(a resolve.Answer) {
			if a.Addrs[0] != own {
				t.Errorf("%v: %v", said, a)
			}
		}); !errors.Is(err, said) {
			t.Errorf("%v: %v", said, err)
		}
	}
}

// A look-up that several share is none of theirs: whoever leaves takes nothing from the others.
func TestASharedLookUpOutlivesWhoeverAskedFirst(t *testing.T) {
	l := &lookup{begun: time.Now(), changed: make(chan struct{})}
	lookups := &Lookups{m: map[[2]string]*lookup{{"wlan0", "x"}: l}}
	names := lookups.Over("wlan0", nil)
	first, leave := context.WithCancel(t.Context())
	leave()
	if err := names.LookupEach(first, "x", func(resolve.Answer) {}); !errors.Is(err, context.Canceled) {
		t.Errorf("who leaves: %v", err)
	}
	var wait sync.WaitGroup
	for range 10 {
		wait.Add(1)
		go func() {
			defer wait.Done()
			var got []netip.Addr
			if err := names.LookupEach(t.Context(), "x", func(a resolve.Answer) { got = append(got, a.Addrs...) }); err != nil || len(got) != 2 {
				t.Errorf("%v, %v", got, err)
			}
		}()
	}
	l.change(func() { l.answers = append(l.answers, resolve.Answer{Addrs: []netip.Addr{own}}) })
	l.change(func() { l.answers = append(l.answers, resolve.Answer{Addrs: []netip.Addr{private}}) })
	l.change(func() { l.ended, l.expires = true, time.Now().Add(time.Minute) })
	wait.Wait()
}
