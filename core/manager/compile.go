// Conditional triggers are compiled when they reach an engine.
package manager

import (
	"fmt"

	"midstream/core/config"
	"midstream/core/policy"
)

// CheckWhen says what is wrong with a conditional trigger, nil if nothing is.
func CheckWhen(condition, use string) error {
	if use != Auto && !config.ValidInterfaceName(use) {
		return fmt.Errorf("%q is no name for a network interface", use)
	}
	_, err := policy.Compile(condition)
	return err
}

// compile returns the directives with their conditions compiled; one that is wrong, which was refused when it
// came, never fires.
func compile(d Directives) Directives {
	whens := make([]When, len(d.Whens))
	copy(whens, d.Whens)
	for i := range whens {
		if c, err := policy.Compile(whens[i].Condition); err == nil {
			whens[i].compiled = c
		}
	}
	d.Whens = whens
	return d
}
