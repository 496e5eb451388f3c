// The cable of a network whose link has a rate, a delay or losses: the interfaces it runs between, and its process.

package lab

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"

	"midstream/e2e/lab/wire"
)

// cableVariable carries a wire.Cable as JSON to the process that serves it.
const cableVariable = "MIDSTREAM_LAB_CABLE"

// The ends of the wire in the namespace between phone and network.
const (
	airPhone   = "phone"
	airNetwork = "network"
)

// cable is a running wire process. It ends when its standard input does, hence with this process at the latest.
type cable struct {
	process *exec.Cmd
	orders  io.WriteCloser
	answers *bufio.Scanner
}

// layCable puts a namespace with a wire between the phone and the network.
func (n *Network) layCable() error {
	var err error
	if n.air, err = newNamespace(n.Name + ".air"); err != nil {
		return err
	}
	if err := n.air.Do(func() error { return sysctl(airSysctls) }); err != nil {
		return err
	}
	if err := ipBatch(fmt.Sprintf("link add %s type veth peer name %s netns %s", n.Name, airPhone, n.air.Name)); err != nil {
		return err
	}
	if err := n.air.IP(
		fmt.Sprintf("link add %s type veth peer name %s netns %s", airNetwork, inner, n.Namespace.Name),
		"link set "+airPhone+" up", "link set "+airNetwork+" up"); err != nil {
		return err
	}
	// Frames of 64 kB are unknown to a wire: the ends must segment and sum by themselves.
	offloads := []string{"tso", "off", "gso", "off", "gro", "off", "tx", "off"}
	if err := command(append([]string{"ethtool", "-K", n.Name}, offloads...)...); err != nil {
		return err
	}
	if err := n.Command(append([]string{"ethtool", "-K", inner}, offloads...)...); err != nil {
		return err
	}
	shape := wire.Shape{Rate: n.Link.Rate, Delay: n.Link.Delay, Queue: n.Link.Queue, Loss: n.Link.Loss, Seed: uint64(n.Index)}
	n.cable, err = n.air.startCable(wire.Cable{A: airPhone, B: airNetwork, Up: shape, Down: shape})
	return err
}

func (n *Namespace) startCable(c wire.Cable) (*cable, error) {
	described, err := json.Marshal(c)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), stageVariable+"=wire", cableVariable+"="+string(described))
	cmd.Stderr = os.Stderr
	orders, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	answers, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := n.Start(cmd); err != nil {
		return nil, fmt.Errorf("start the wire: %w", err)
	}
	w := &cable{process: cmd, orders: orders, answers: bufio.NewScanner(answers)}
	return w, w.expect("ready")
}

// order gives the wire an order and returns when it is in force.
func (w *cable) order(line string) error {
	if _, err := fmt.Fprintln(w.orders, line); err != nil {
		return fmt.Errorf("order %q to the wire: %w", line, err)
	}
	return w.expect("ok")
}

func (w *cable) expect(answer string) error {
	if !w.answers.Scan() {
		return fmt.Errorf("the wire ended where %q was expected (see above)", answer)
	}
	if got := w.answers.Text(); got != answer {
		return fmt.Errorf("the wire answered %q where %q was expected", got, answer)
	}
	return nil
}

func (w *cable) close() {
	w.orders.Close()
	w.process.Wait()
}
