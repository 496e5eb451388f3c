package netif

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"midstream/core/netif/nettest"
)

func TestListShowsLinksAndAddressesByScope(t *testing.T) {
	if !nettest.Inside(t) {
		return
	}
	far := nettest.NewPlace(t)
	far.Link("wlan0", "ap0", []string{"10.1.0.2/24", "169.254.3.4/16", "fd01::2/64", "fe80::77/64"}, nil)
	all, err := List()
	if err != nil {
		t.Fatal(err)
	}
	at := slices.IndexFunc(all, func(i Interface) bool { return i.Name == "wlan0" })
	if at < 0 {
		t.Fatalf("wlan0 missing in %+v", all)
	}
	i := all[at]
	if !i.Up || !i.Carrier || i.Loopback || i.Index <= 0 || i.MTU != 1500 {
		t.Errorf("wlan0: %+v", i)
	}
	if !slices.Equal(i.V4, []netip.Addr{netip.MustParseAddr("10.1.0.2")}) {
		t.Errorf("V4 = %v", i.V4)
	}
	if !slices.Equal(i.V6, []netip.Addr{netip.MustParseAddr("fd01::2")}) {
		t.Errorf("V6 = %v", i.V6)
	}
	for _, want := range []string{"169.254.3.4", "fe80::77%wlan0"} {
		if !slices.Contains(i.LinkLocal, netip.MustParseAddr(want)) {
			t.Errorf("LinkLocal = %v lacks %s", i.LinkLocal, want)
		}
	}
	lo, err := ByName("lo")
	if err != nil || !lo.Loopback || !slices.Contains(lo.V4, netip.MustParseAddr("127.0.0.1")) {
		t.Errorf("lo: %+v, %v", lo, err)
	}
}

func TestByNameSaysWhatIsWrong(t *testing.T) {
	if !nettest.Inside(t) {
		return
	}
	far := nettest.NewPlace(t)
	far.Link("wwan0", "cell0", nil, nil)
	expect := func(name string, want error, word string) {
		t.Helper()
		_, err := ByName(name)
		if !errors.Is(err, want) || err != nil && !strings.Contains(err.Error(), word) {
			t.Errorf("ByName(%s) = %v, want %v with %q", name, err, want, word)
		}
	}
	expect("wlan9", ErrUnknown, "lo, wwan0")
	expect("wwan0", ErrNoAddress, "wwan0")
	notices, err := Watch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	far.Run("ip link set cell0 down")
	// The kernel reports the loss of carrier a moment after the fact.
	for end := time.After(5 * time.Second); ; {
		if i, _ := ByName("wwan0"); !i.Carrier {
			break
		}
		select {
		case <-notices:
			continue
		case <-end:
		}
		break
	}
	expect("wwan0", ErrNoCarrier, "carrier")
	nettest.Run(t, "ip link set wwan0 down")
	expect("wwan0", ErrDown, "bring it up")
}

func TestTentativeAddressIsNotListed(t *testing.T) {
	if !nettest.Inside(t) {
		return
	}
	far := nettest.NewPlace(t)
	far.Link("wlan0", "ap0", nil, nil)
	// With a probe a second, detection cannot be over when the list is taken.
	nettest.Run(t, "ip addr add fd05::9/64 dev wlan0")
	i, err := ByName("wlan0")
	if !errors.Is(err, ErrNoAddress) {
		t.Errorf("tentative address counts: %+v, %v", i, err)
	}
}

func TestWatchNoticesAddressesAndLinks(t *testing.T) {
	if !nettest.Inside(t) {
		return
	}
	ctx, cancel := context.WithCancel(t.Context())
	notices, err := Watch(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, change := range []string{
		"ip addr add 10.5.0.1/24 dev lo",
		"ip addr del 10.5.0.1/24 dev lo",
		"ip link add dummy9 type veth peer name dummy8",
		"ip link set dummy9 up",
		"ip route add 10.6.0.0/16 dev lo",
	} {
		nettest.Run(t, change)
		select {
		case _, open := <-notices:
			if !open {
				t.Fatal("the watch ended by itself")
			}
		case <-time.After(5 * time.Second):
			t.Fatalf("no notice of %q", change)
		}
	}
	cancel()
	end := time.After(5 * time.Second)
	for {
		select {
		case _, open := <-notices:
			if !open {
				return
			}
		case <-end:
			t.Fatal("the channel stays open after the context's end")
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, kind := range []int{syscall.RTM_GETLINK, syscall.RTM_GETADDR, syscall.RTM_GETROUTE} {
		wire, err := syscall.NetlinkRIB(kind, syscall.AF_UNSPEC)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(wire)
		f.Add(wire[:len(wire)-1])
	}
	f.Add([]byte("\x17\x00\x00\x00\x14\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x08\x80\x00\x01\x00\x00"))                        // a message of 23 octets
	f.Add([]byte("\x1f\x00\x00\x00\x14\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x08\x80\x00\x01\x00\x00\x00\x07\x00\x03\x00abc")) // an attribute of 7
	f.Fuzz(func(t *testing.T, wire []byte) {
		losses(wire, func(l Loss) {
			if !l.Down && l.Addr.IsValid() && l.Addr.Zone() != "" {
				t.Errorf("%+v", l)
			}
		})
		msgs, err := messages(wire)
		if err != nil {
			return
		}
		for _, i := range parse(msgs, msgs) {
			if i.Name == "" {
				t.Error("an interface without a name")
			}
		}
		for i := range msgs {
			if index, _, ok := parseDefault(&msgs[i]); ok && index == 0 {
				t.Error("a route over no interface")
			}
			if route, ok := parseRoute(&msgs[i]); ok && (route.Index == 0 || !route.To.IsValid()) {
				t.Errorf("%+v", route)
			}
		}
		parseFound(wire)
	})
}
