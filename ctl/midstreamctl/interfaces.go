// midstreamctl interfaces: shows what the interface manager knows and how it ranks the interfaces.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"midstream/core/control"
	"midstream/core/display"
	"midstream/core/manager"
	"midstream/core/netmon"
	"midstream/ctl/client"
	"midstream/ctl/table"
)

const interfacesLong = `Lists the host's network interfaces, the best first, with what the interface manager
knows of each: from the kernel, the configuration, midstreamd, the downloads on it, and
hints; and why it is, or is not, the one to use.`

func interfacesCommand(e *environment) *cobra.Command {
	c := &cobra.Command{Use: "interfaces [--json]", Short: "list the network interfaces, and how they are ranked", Long: interfacesLong}
	asJSON := jsonFlag(c, "one JSON array")
	return e.command(c, "0; 1 where a process did not answer; 2 wrong usage or configuration", func(*cobra.Command, []string) int {
		return interfaces(e, *asJSON)
	})
}

func interfaces(e *environment, asJSON bool) int {
	list, status := e.survey()
	if list == nil {
		return status
	}
	if asJSON {
		text, err := json.Marshal(list)
		if err != nil {
			e.complain("interfaces: %v", err)
			return exitFailed
		}
		return e.data(text, status)
	}
	return e.flush(interfaceTable(list, table.Width(os.Stdout)), status)
}

// survey is what is known of the interfaces, nil where that could not be found out.
func (e *environment) survey() ([]manager.Interface, int) {
	status := exitOK
	engine := manager.New(e.config, time.Now)
	networks, err := netmon.Look()
	if err != nil {
		e.complain("interfaces: %v", err)
		return nil, exitFailed
	}
	engine.Links(networks.Interfaces)
	facts, err := e.facts()
	if err != nil {
		e.complain("interfaces: %v", err)
		status = exitFailed
	}
	manager.Merge(facts, manager.OfFiles(networks))
	engine.Facts(facts)
	var directives []manager.Directives
	for _, dir := range []string{manager.HostDir, control.RuntimeDir()} {
		if d, err := (manager.Store{Dir: dir}).Load(); err == nil && (dir != manager.HostDir || os.Getenv(control.EnvRuntimeDir) == "") {
			directives = append(directives, d)
		}
	}
	engine.Direct(manager.Combine(directives...))
	return engine.Interfaces(), status
}

// daemonPath is the socket of the user's daemon, else of the host's.
func daemonPath() string {
	own := filepath.Join(control.RuntimeDir(), manager.SocketName)
	if _, err := os.Lstat(own); err != nil && os.Getenv(control.EnvRuntimeDir) == "" {
		if host := filepath.Join(manager.HostDir, manager.SocketName); exists(host) {
			return host
		}
	}
	return own
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// facts asks the daemon or, where there is none, every process.
func (e *environment) facts() (map[string]manager.Fact, error) {
	all := map[string]manager.Fact{}
	a, _ := client.Ask[map[string]manager.Fact](e.ctx, client.Process{Path: daemonPath(), UID: os.Geteuid()}, client.AnswerLimit, control.MethodFacts, nil)
	if a != nil && a.Err == nil {
		manager.Merge(all, a.Result)
		return all, nil
	}
	if a != nil && (errors.Is(a.Err, fs.ErrNotExist) || errors.Is(a.Err, syscall.ECONNREFUSED)) {
		a = nil
	}
	list, err := client.Processes()
	if err != nil {
		return all, err
	}
	// What another user's processes have found holds for that user.
	for _, p := range client.AskAll[map[string]manager.Fact](e.ctx, client.OwnOnly(list), client.AnswerLimit, control.MethodFacts, nil) {
		if p.Err != nil {
			err = fmt.Errorf("process %d: %w", p.PID, p.Err)
			continue
		}
		manager.Merge(all, p.Result)
	}
	if a != nil && err == nil {
		err = fmt.Errorf("midstreamd: %w", a.Err)
	}
	return all, err
}

func interfaceTable(list []manager.Interface, width int) []byte {
	columns := []table.Column{
		table.Of("RANK", 0, 0), table.Of("INTERFACE", 0, 0), table.Of("KIND", 0, 4), table.Of("STATE", 0, 0), table.Of("METERED", 0, 3), table.Of("COST", 0, 6), table.Of("RTT", 0, 0), table.Of("LOSS", 0, 5),
		table.Of("THROUGHPUT", 0, 0), table.Of("ADDRESSES", 15, 1), table.Of("RESOLVERS", 15, 2),
	}
	var rows [][]string
	for _, i := range list {
		rank, state, metered := "-", "up", "no"
		if i.Rank > 0 {
			rank = fmt.Sprint(i.Rank)
		}
		switch {
		case !i.Up:
			state = "down"
		case !i.Carrier:
			state = "no carrier"
		case i.Captive:
			state = "captive"
		}
		if i.Metered {
			metered = "yes"
		}
		rtt, loss, throughput := "-", "-", "-"
		if i.RTT > 0 {
			rtt, loss = fmt.Sprintf("%.1f ms", i.RTT), fmt.Sprintf("%.1f %%", i.Loss*100)
		}
		if i.Throughput > 0 {
			throughput = fmt.Sprintf("%.1f Mbit/s", i.Throughput/1e6)
		}
		rows = append(rows, []string{
			rank, i.Name, i.Kind, state, metered, fmt.Sprintf("%g", i.Cost), rtt, loss, throughput, display.Join(i.Addresses), display.Join(i.Resolvers),
		})
	}
	var b bytes.Buffer
	table.Write(&b, columns, rows, width)
	for _, i := range list {
		fmt.Fprintf(&b, "%s: %s\n", display.Line(i.Name), display.Line(i.Why))
		for _, h := range i.Hints {
			left := ""
			if !h.Expires.IsZero() {
				left = ", for " + time.Until(h.Expires).Round(time.Second).String() + " more"
			}
			if h.Found {
				left += ", found out"
			}
			fmt.Fprintf(&b, "  hint %s=%s, %v ago%s\n", display.Line(h.Key), display.Line(h.Value), time.Since(h.At).Round(time.Second), left)
		}
	}
	return b.Bytes()
}
