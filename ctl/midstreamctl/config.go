// midstreamctl config: checks the configuration, and shows what is in force.
package main

import (
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"midstream/core/display"
)

const configLong = `Checks the configuration and prints what is in force, defaults included and
passwords hidden. The file is $MIDSTREAM_CONFIG, else
$XDG_CONFIG_HOME/midstream/config.toml, else /etc/midstream/config.toml, else none.`

func configCommand(e *environment) *cobra.Command {
	c := &cobra.Command{Use: "config [--json]", Short: "check and print the configuration, without passwords", Long: configLong}
	asJSON := jsonFlag(c, "one JSON object")
	return e.command(c, "0 it is right; 2 it is wrong, with file, line and key on standard error", func(*cobra.Command, []string) int {
		return showConfig(e, *asJSON)
	})
}

func showConfig(e *environment, asJSON bool) int {
	if asJSON {
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
