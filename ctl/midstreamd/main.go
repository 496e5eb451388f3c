// Midstreamd is the interface manager of a user, or of a host: programs under Midstream connect to it, report what
// their downloads need, and are told which interface to use. Without it each of them decides by itself.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"midstream/core/config"
	"midstream/core/control"
	"midstream/core/display"
	"midstream/core/log"
	"midstream/core/manager"
)

const usage = `usage: midstreamd [--config FILE] [--host]

Decides over which network interface the downloads of all programs under Midstream go,
by the configuration's [policy], by what the kernel, systemd-resolved and NetworkManager
say of the interfaces, by hints and by what the downloads show. Runs until SIGTERM or
SIGINT; SIGHUP makes it read the configuration again. Downloads go on without it, and
their programs then decide by themselves.

  --config FILE   as for midstream
  --host          serve all users of the host, under ` + manager.HostDir + `; only as root

Exit status: 0; 1 it could not run; 2 wrong usage or configuration.
`

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, out, complaints io.Writer) int {
	f := flag.NewFlagSet("midstreamd", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	file := f.String("config", "", "")
	host := f.Bool("host", false, "")
	switch err := f.Parse(args); {
	case err == flag.ErrHelp:
		fmt.Fprint(out, usage)
		return 0
	case err != nil || f.NArg() > 0:
		fmt.Fprint(complaints, usage)
		return 2
	}
	if *file != "" {
		os.Setenv(config.EnvFile, *file)
	}
	cfg, err := config.Load(config.Find())
	if err != nil {
		fmt.Fprintln(complaints, "midstreamd: "+display.Line(err.Error()))
		return 2
	}
	dir, err := folder(*host)
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
	d.host = *host
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
