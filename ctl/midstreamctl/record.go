// midstreamctl record: writes down how downloads go, for plot.
package main

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/spf13/cobra"

	"midstream/core/control"
	"midstream/ctl/command"
	"midstream/ctl/recording"
)

const recordLong = `Writes into FILE how the downloads go that there are, and those that begin: every tenth of
a second what each has received and over which network, and all events, a JSON object a
line. It ends when it is interrupted, or after --for; with --until-idle when what was being
downloaded has ended. midstreamctl plot makes a picture of it.`

func recordCommand(e *environment) *cobra.Command {
	var limit command.Span
	c := &cobra.Command{Use: "record FILE [--for TIME] [--until-idle]", Short: "write down how downloads go", Long: recordLong, Args: cobra.ArbitraryArgs}
	c.Flags().Var(&limit, "for", "end after so long")
	idle := c.Flags().Bool("until-idle", false, "end when there were downloads, and all have ended")
	return e.command(c, "0; 1 where the file cannot be written; 2 wrong usage or configuration", func(c *cobra.Command, args []string) int {
		if len(args) != 1 {
			return e.wrong(c, "name one FILE to write")
		}
		return record(e, args[0], limit.Duration, *idle)
	})
}

func record(e *environment, path string, limit time.Duration, idle bool) int {
	file, err := os.Create(path)
	if err != nil {
		e.complain("record: %v", err)
		return exitFailed
	}
	defer file.Close()
	ctx, stop := context.WithCancel(e.ctx)
	defer stop()
	if limit > 0 {
		ctx, stop = context.WithTimeout(ctx, limit)
		defer stop()
	}
	events := make(chan control.Event, 1024)
	go e.Follow(ctx, func(e control.Event) {
		select {
		case events <- e:
		default: // the samples go on
		}
	})
	if err := recording.New(file).Run(ctx, events, idle); err != nil {
		e.complain("record: %v", err)
		return exitFailed
	}
	if err := file.Sync(); err != nil && !errors.Is(err, os.ErrInvalid) && limit == 0 && !idle {
		return exitOK // a pipe
	}
	return exitOK
}
