// The section [live]: streams without a length, as of radio stations.
package config

import (
	"fmt"
	"path/filepath"
	"strings"

	"midstream/core/policy"
)

// Live says how streams without a length are treated.
type Live struct {
	// Gaps are patterns (glob(7)) of the names of programs that may be handed such a stream with octets missing, where it cannot be
	// continued otherwise.
	Gaps []string `json:"gaps"`
}

// Allows reports whether the program with that command line may be handed a stream with a gap.
func (l Live) Allows(command string) bool {
	program, _, _ := strings.Cut(command, " ")
	program = filepath.Base(program)
	for _, pattern := range l.Gaps {
		if policy.Match(pattern, program) {
			return true
		}
	}
	return false
}

func (d *decoder) live(p path, value any, l *Live) {
	const wanted = `the names of programs: ["mpv", "ffplay", "vlc*"]`
	d.table(p, value, keys{
		"gaps": func(p path, v any) {
			l.Gaps = d.texts(p, v, wanted)
			for i, pattern := range l.Gaps {
				if pattern == "" || strings.Contains(pattern, "/") {
					d.fail(p.with(index(i)), fmt.Sprintf("%q is no program's name", pattern), "write "+wanted)
				}
			}
		},
	})
}

// String is the section as it would stand in a file.
func (l Live) String() string { return fmt.Sprintf("[live]\ngaps = [%s]\n", quoteTexts(l.Gaps)) }
