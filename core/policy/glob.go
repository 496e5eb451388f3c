// Patterns of names, as in the configuration.
package policy

import (
	"path"
	"strings"
)

// Match reports whether s matches a pattern in which * stands for any number of characters, ? for one and […] for
// one of a set: glob(7), with a slash like any other character.
func Match(pattern, s string) bool {
	// path.Match alone would not let * pass a slash.
	const instead = "\x00"
	ok, err := path.Match(strings.ReplaceAll(pattern, "/", instead), strings.ReplaceAll(s, "/", instead))
	return ok && err == nil
}
