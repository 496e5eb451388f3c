// What can be wrong with an interface that somebody named.

package netif

import (
	"errors"
	"fmt"
	"strings"
)

// The reasons an interface cannot be used; test for them with errors.Is.
var (
	ErrUnknown   = errors.New("no such interface")
	ErrDown      = errors.New("it is down")
	ErrNoCarrier = errors.New("it has no carrier")
	ErrNoAddress = errors.New("it has no address")
)

// Error says why the interface Name cannot be used.
type Error struct {
	Name  string
	Known []string // the interfaces there are, when Err is ErrUnknown
	Err   error
}

func (e *Error) Error() string {
	switch e.Err {
	case ErrUnknown:
		return fmt.Sprintf("interface %q: there is none of that name; there are: %s", e.Name, strings.Join(e.Known, ", "))
	case ErrDown:
		return fmt.Sprintf("interface %s: %v; bring it up first", e.Name, e.Err)
	case ErrNoCarrier:
		return fmt.Sprintf("interface %s: %v; connect the cable or join a network first", e.Name, e.Err)
	case ErrNoAddress:
		return fmt.Sprintf("interface %s: %v of global scope; wait for DHCP or set one first", e.Name, e.Err)
	}
	return fmt.Sprintf("interface %s: %v", e.Name, e.Err)
}

func (e *Error) Unwrap() error { return e.Err }
