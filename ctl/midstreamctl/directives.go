// The folder of the directives, and those who follow them.
package main

import (
	"errors"
	"fmt"
	"os"
	"time"

	"midstream/core/control"
	"midstream/core/manager"
	"midstream/core/netif"
)

// store opens the user's directives, or with host those of all users.
func (e *environment) store(host bool) (manager.Store, error) {
	if host {
		if err := os.MkdirAll(manager.HostDir, 0o755); err != nil {
			return manager.Store{}, fmt.Errorf("open the host's directives: %w; only root may change them", err)
		}
		return manager.Store{Dir: manager.HostDir}, nil
	}
	dir, err := control.EnsureRuntimeDir()
	return manager.Store{Dir: dir}, err
}

// known makes sure that the interface is one that may be used.
func (e *environment) known(name string) error {
	if e.config.Interfaces[name].Never {
		return fmt.Errorf("%s: the configuration says never (never = true)", name)
	}
	_, err := netif.ByName(name)
	return err
}

// exists is known for an interface that need not be usable now.
func (e *environment) exists(name string) error {
	if err := e.known(name); err != nil && (errors.Is(err, netif.ErrUnknown) || e.config.Interfaces[name].Never) {
		return err
	}
	return nil
}

// expiry reads --expire.
func expiry(after time.Duration) time.Time {
	if after == 0 {
		return time.Time{}
	}
	return time.Now().Add(after)
}
