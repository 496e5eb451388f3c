// midstreamctl plot: a picture of a record.
package main

import (
	"path/filepath"

	"github.com/spf13/cobra"

	"midstream/ctl/command"
	"midstream/ctl/recording"
)

const plotLong = `Draws what "midstreamctl record" has written: above, the rate of each network over time;
below, what each download has received, in the colours of the networks it came over; and
when something has moved, failed, or stalled. The name of the output says which format it
is: .svg or .png.`

func plotCommand(e *environment) *cobra.Command {
	c := &cobra.Command{Use: "plot FILE -o OUTPUT.svg|OUTPUT.png [--dark] [--title TEXT]", Short: "draw what record has written", Long: plotLong, Args: cobra.ArbitraryArgs}
	out := c.Flags().StringP("output", "o", "", "the `FILE` to write, .svg or .png")
	dark := c.Flags().Bool("dark", false, "on a dark ground")
	title := c.Flags().String("title", "", "the `TEXT` above it, instead of what was downloaded")
	e.command(c, "0; 1 the record cannot be read, or the picture not be written; 2 wrong usage", nil)
	c.RunE = func(c *cobra.Command, args []string) error {
		status := exitOK
		switch extension := filepath.Ext(*out); {
		case len(args) != 1:
			status = e.wrong(c, "name one FILE that midstreamctl record has written")
		case extension != ".svg" && extension != ".png":
			status = e.wrong(c, "-o %q: name a file that ends in .svg or .png", *out)
		default:
			if err := recording.Draw(args[0], *out, *title, *dark); err != nil {
				e.complain("plot: %v", err)
				status = exitFailed
			}
		}
		return command.Done(status)
	}
	return c
}
