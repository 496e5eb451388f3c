// The manual page, midstreamctl(1), from the commands' own help: what the hidden command "page" prints when Midstream is built.
package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"midstream/ctl/command"
)

const pageBefore = `
.Sh ENVIRONMENT
.Bl -tag -width Ds
.It Ev MIDSTREAM_CONFIG
The configuration file.
.It Ev MIDSTREAM_RUNTIME_DIR
The folder of the control sockets, one a process, and of what was said by
.Cm use ,
.Cm hint
and
.Cm when .
By default
.Pa $XDG_RUNTIME_DIR/midstream ,
else
.Pa /run/user/UID/midstream ,
else
.Pa /tmp/midstream\-UID .
.El
.Sh FILES
.Bl -tag -width Ds
.It Pa ~/.config/midstream/config.toml , /etc/midstream/config.toml
The configuration:
.Xr midstream.toml 5 .
.El
`

const pageAfter = `
.Sh EXAMPLES
What is being downloaded, and moving all of it to the mobile network:
.Bd -literal -offset indent
$ midstreamctl sessions
$ midstreamctl migrate wwan0
.Ed
.Pp
From now on the cable, and once the Wi\-Fi is slow, the mobile network:
.Bd -literal -offset indent
$ midstreamctl use eth0
$ midstreamctl when \(aqwlan0.rtt > 300\(aq use wwan0 \-\-once
.Ed
.Sh SEE ALSO
.Xr midstream 1 ,
.Xr midstream.toml 5 ,
.Xr midstream 7 ,
.Xr midstreamd 8
`

// pageDate is that of the last change to what the pages say.
const pageDate = "November 30, 2026"

func pageCommand(*environment) *cobra.Command {
	return &cobra.Command{Use: "page [configuration.md]", Hidden: true, Args: cobra.MaximumNArgs(1), RunE: func(c *cobra.Command, args []string) error {
		if len(args) == 1 {
			text, err := os.ReadFile(args[0])
			if err == nil {
				fmt.Fprint(c.OutOrStdout(), command.FromMarkdown("midstream.toml", "the configuration of Midstream", pageDate, string(text)))
			}
			return err
		}
		p := command.Page{Section: 1, Date: pageDate, Before: pageBefore, After: pageAfter}
		fmt.Fprint(c.OutOrStdout(), p.Write(c.Root()))
		return nil
	}}
}
