// midstreamctl config: checks the configuration, and shows what is in force.
package main

import (
	"encoding/json"
	"flag"
	"fmt"

	"midstream/core/display"
)

const configHelp = `usage: midstreamctl config [--json]

Checks the configuration and prints what is in force, defaults included and
passwords hidden. The file is $MIDSTREAM_CONFIG, else
$XDG_CONFIG_HOME/midstream/config.toml, else /etc/midstream/config.toml, else none.

  --json   print one JSON object

Exit status: 0 it is right; 2 it is wrong, with file, line and key on standard error.
`

func showConfig(e *environment, args []string) int {
	f := flag.NewFlagSet("config", flag.ContinueOnError)
	asJSON := f.Bool("json", false, "")
	if !e.parse(f, args) {
		return exitUsage
	}
	if *asJSON {
		text, err := json.Marshal(e.config)
		if err != nil {
			e.complain("config: %v", err)
			return exitFailed
		}
		return e.data(text, exitOK)
	}
	from := "built-in defaults; there is no configuration file"
	if e.config.File != "" {
		from = e.config.File
	}
	return e.flush(fmt.Appendf(nil, "# %s\n%s", display.Line(from), e.config), exitOK)
}
