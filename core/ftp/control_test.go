package ftp

import (
	"context"
	"errors"
	"net/netip"
	"testing"

	"midstream/core/reason"
)

// A standby and a migration may come to the same server at once: one logs in after the other, and not too often.
func TestOneLoginAtATime(t *testing.T) {
	server := netip.MustParseAddrPort("192.0.2.1:21")
	c := NewControl(nil, server)
	if _, err := c.enter(t.Context(), server); !errors.Is(err, reason.ExchangeEnded) {
		t.Errorf("with nothing to ask for: %v", err)
	}
	c.transfer = &Transfer{}
	first, err := c.enter(t.Context(), server)
	if err != nil {
		t.Fatal(err)
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.enter(over, server); !errors.Is(err, context.Canceled) {
		t.Errorf("beside another one: %v", err)
	}
	second := make(chan error)
	go func() {
		done, err := c.enter(t.Context(), server)
		if err == nil {
			done()
		}
		second <- err
	}()
	first()
	if err := <-second; err != nil {
		t.Error(err)
	}
	for range maxLogins - 2 {
		done, err := c.enter(t.Context(), server)
		if err != nil {
			t.Fatal(err)
		}
		done()
	}
	if _, err := c.enter(t.Context(), server); !errors.Is(err, reason.FTPLogins) {
		t.Errorf("once more: %v", err)
	}
}
