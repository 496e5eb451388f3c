// A password that does not show itself.
package config

import (
	"encoding/json"
	"fmt"
)

const mask = "***"

// Secret is a password. Whatever prints, formats, logs or encodes it shows three stars; Reveal gives
// it to the one place that sends it.
type Secret struct{ value string }

// Reveal returns the password itself, for the message to the proxy and nothing else.
func (s Secret) Reveal() string { return s.value }

// String returns three stars, or "" where no password is set.
func (s Secret) String() string {
	if s.value == "" {
		return ""
	}
	return mask
}

// Format keeps every verb, %#v and %x too, from looking inside.
func (s Secret) Format(f fmt.State, _ rune) { fmt.Fprint(f, s.String()) }

// MarshalJSON encodes the stars.
func (s Secret) MarshalJSON() ([]byte, error) { return json.Marshal(s.String()) }
