// Midstreamd is the interface manager of a user, or of a host: programs under Midstream connect to it, report what
// their downloads need, and are told which interface to use. Without it each of them decides by itself.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"midstream/core/config"
	"midstream/core/control"
	"midstream/core/display"
	"midstream/core/log"
	"midstream/core/manager"
	"midstream/core/release"
	"midstream/ctl/command"
)

const about = `Decides over which network interface the downloads of all programs under Midstream go,
by the configuration's [policy], by what the kernel, systemd-resolved and NetworkManager
say of the interfaces, by hints and by what the downloads show. Runs until SIGTERM or
SIGINT; SIGHUP makes it read the configuration again. Downloads go on without it, and
their programs then decide by themselves.`

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, out, complaints io.Writer) int {
	c := &cobra.Command{
		Use: "midstreamd [--config FILE] [--host]", Short: "decide over which network downloads under Midstream go", Long: about,
		Args:        command.NoArguments,
		Annotations: map[string]string{command.Exits: "0; 1 it could not run; 2 wrong usage or configuration"},
	}
	file := c.Flags().String("config", "", "the configuration `FILE`, as for midstream")
	host := c.Flags().Bool("host", false, "serve all users of the host, under "+manager.HostDir+"; only as root")
	version := c.Flags().Bool("version", false, "print which version this is")
	c.RunE = func(*cobra.Command, []string) error {
		if *version {
			fmt.Fprintln(out, "midstreamd "+release.Version)
			return nil
		}
		return command.Done(serve(*file, *host, complaints))
	}
	command.Prepare(c, out, complaints)
	return command.Run(c, args)
}

// serve runs the daemon until it is told to end.
func serve(file string, host bool, complaints io.Writer) int {
	if file != "" {
		os.Setenv(config.EnvFile, file)
	}
	cfg, err := config.Load(config.Find())
	if err != nil {
		fmt.Fprintln(complaints, "midstreamd: "+display.Line(err.Error()))
		return 2
	}
	dir, err := folder(host)
	if err != nil {
		fmt.Fprintln(complaints, "midstreamd: "+display.Line(err.Error()))
		return 1
	}
	logger, closeLog, err := log.Open(os.Getenv(log.EnvLevel), os.Getenv(log.EnvFile))
	if err != nil {
		fmt.Fprintln(complaints, "midstreamd: "+display.Line(err.Error()))
		return 1
	}
	defer closeLog.Close()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	d := newDaemon(cfg, dir, logger)
	d.host = host
	if err := d.serve(ctx); err != nil {
		fmt.Fprintln(complaints, "midstreamd: "+display.Line(err.Error()))
		return 1
	}
	return 0
}

// folder is where the socket and the directives are.
func folder(host bool) (string, error) {
	if !host {
		return control.EnsureRuntimeDir()
	}
	if err := os.MkdirAll(manager.HostDir, 0o755); err != nil {
		return "", fmt.Errorf("make the host's folder: %w; run as root", err)
	}
	return manager.HostDir, os.Chmod(manager.HostDir, 0o755)
}
