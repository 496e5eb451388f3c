// What the networks and servers of an event are like, and the events that take more than one network with one server.
package main

import (
	"bytes"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"midstream/e2e/lab"
)

// stage says where an event happens. The zero value is two networks, each with a server of its own.
type stage struct {
	third   bool         // there is another network, usb0
	pair    bool         // every network leads to the same two servers
	early   bool         // it happens in the first half second of content
	long    bool         // the content is four times as long
	whole   bool         // the servers of the other networks ignore Range, and half of 100 MB has been received
	greets  bool         // every network leads to the same address, and it happens before the TLS handshake is over
	prepare func(*scene) // before the download begins
}

type scene struct {
	lab         *lab.Lab
	t           lab.T
	first, next *lab.Network
	server      *lab.Server              // of the first network, unless there are two
	web         map[string][]*lab.Server // by network, or by address where there are two servers
	names       map[string]*lab.Server   // by network
	pid         int
	under       bool // Midstream
}

// other is the address of a second server in all networks.
const other = "203.0.113.81"

func (g stage) networks() (options []lab.Option) {
	link := lab.Link{Rate: rate, Delay: 10 * time.Millisecond}
	options = []lab.Option{lab.Net("wlan0", link), lab.Net("wwan0", link)}
	if g.third {
		options = append(options, lab.Net("usb0", link))
	}
	return options
}

// simple reports whether it is two networks, each with one server.
func (g stage) simple() bool {
	return !g.third && !g.pair && !g.early && !g.long && !g.whole && !g.greets && g.prepare == nil
}

func (g stage) octets() int64 {
	switch {
	case g.long:
		return 4 * size
	case g.whole:
		return 100_000_000
	}
	return size
}

// begins is after how many octets it happens.
func (g stage) begins() int64 {
	switch {
	case g.early:
		return pace * 3 / 10
	case g.whole:
		return g.octets() / 2
	}
	return 2 * pace
}

// serve starts the servers of a network, and tells its resolver of them.
func (s *scene) serve(n *lab.Network, folder string, options lab.ServerOptions, g stage) {
	if s.web == nil {
		s.web, s.names = map[string][]*lab.Server{}, map[string]*lab.Server{}
	}
	if g.greets {
		n.AddAddress(common)
		options.Addresses = []string{common}
	}
	if !g.pair {
		options.NoRange = g.whole && n != s.first
		web := n.Paced(folder, options)
		s.web[n.Name] = append(s.web[n.Name], web)
		if n == s.first {
			s.server = web
		}
		addresses := []string{n.Content(), n.Content6()}
		if g.greets {
			addresses = options.Addresses
		}
		s.names[n.Name] = n.DNS(map[string][]string{name: addresses})
		return
	}
	for _, address := range []string{common, other} {
		n.AddAddress(address)
		options.Addresses = []string{address}
		s.web[address] = append(s.web[address], n.Paced(folder, options))
	}
	s.names[n.Name] = n.DNS(map[string][]string{name: {common, other}})
}

// inUse is the address of the one of two servers that the download is from.
func (s *scene) inUse() string {
	if s.under {
		if all, err := s.lab.Control(s.pid, lab.Patience).Sessions(); err == nil && len(all) > 0 {
			return strings.Split(all[0].Server, ":")[0]
		}
	}
	var out bytes.Buffer
	cmd := exec.Command("ss", "-Htn", "state", "established", "sport", "=", ":80")
	cmd.Stdout = &out
	if s.first.Start(cmd) == nil {
		cmd.Wait()
	}
	if strings.Contains(out.String(), other) {
		return other
	}
	return common
}

// moved waits until the download has been moved so often.
func (s *scene) moved(times int) {
	c := s.lab.Control(s.pid, lab.Patience)
	s.lab.Await("migration "+strconv.Itoa(times), lab.Patience, func() bool {
		all, err := c.Sessions()
		return err == nil && len(all) > 0 && len(all[0].Migrations) >= times
	})
}

// strikeServer does something to the one of two servers that is in use, in all networks.
func strikeServer(do func(*lab.Server)) func(*scene) time.Time {
	return func(s *scene) time.Time {
		at := s.inUse()
		begun := time.Now()
		for _, one := range s.web[at] {
			do(one)
		}
		return begun
	}
}

func drop(s *scene) time.Time { begun := time.Now(); s.first.Drop(lab.Both); return begun }

func lose(s *scene) time.Time { begun := time.Now(); s.first.CarrierDown(); return begun }

// commute lets the path be silent so often, over one network and over the other, for as long as it takes to leave it and a second
// more. It returns when the last silence began.
func commute(times int) func(*scene) time.Time {
	return func(s *scene) time.Time {
		var begun time.Time
		for i := range times {
			n := []*lab.Network{s.first, s.next}[i%2]
			begun = time.Now()
			n.Drop(lab.Both)
			if i == times-1 || !s.under {
				break
			}
			s.moved(i + 1)
			n.Pass()
			time.Sleep(2 * time.Second)
		}
		return begun
	}
}

// mute keeps the first server from answering a handshake; its kernel accepts the connection.
func mute(s *scene) { s.server.Freeze() }

// greeted waits until a handshake has been begun.
func greeted() { time.Sleep(200 * time.Millisecond) }

var more = []event{
	{name: "one server of two frozen", stage: stage{pair: true}, strike: strikeServer((*lab.Server).Freeze)},
	{name: "one server of two killed", stage: stage{pair: true}, strike: strikeServer((*lab.Server).Kill)},
	{name: "one server of two, reset", stage: stage{pair: true}, strike: func(s *scene) time.Time {
		begun := time.Now()
		s.first.ResetConnections()
		return begun
	}},
	{name: "carrier lost, 2nd of 3 silent", stage: stage{third: true, prepare: func(s *scene) { s.web["wwan0"][0].Freeze() }}, strike: lose},
	{name: "2 of 3 networks' servers frozen", stage: stage{third: true}, strike: func(s *scene) time.Time {
		begun := time.Now()
		s.web["wwan0"][0].Freeze()
		s.server.Freeze()
		return begun
	}},
	{name: "path silent, 2nd of 3 frozen", stage: stage{third: true}, strike: func(s *scene) time.Time {
		s.web["wwan0"][0].Freeze()
		return drop(s)
	}},
	{name: "carrier lost, DNS there refuses", stage: stage{pair: true, prepare: func(s *scene) { s.names["wwan0"].Kill() }}, strike: lose},
	{name: "carrier lost, DNS there stalls", stage: stage{pair: true, prepare: func(s *scene) { s.names["wwan0"].Freeze() }}, strike: lose},
	{name: "path silent for the 3rd time", stage: stage{long: true}, strike: commute(3)},
	{name: "path silent for the 5th time", stage: stage{long: true}, strike: commute(5)},
	{name: "killed during a migration", strike: func(s *scene) time.Time {
		if s.under {
			c := s.lab.Control(s.pid, lab.Patience)
			go c.Migrate("wwan0")
			time.Sleep(30 * time.Millisecond) // into it: 20 for the connection, 20 for the answer, and more to catch up
		}
		begun := time.Now()
		s.server.Kill()
		return begun
	}},
	{name: "server killed, none has Range", stage: stage{whole: true}, strike: func(s *scene) time.Time {
		begun := time.Now()
		s.server.Kill()
		return begun
	}},
	{name: "carrier lost, none has Range", stage: stage{whole: true}, strike: lose},
	{name: "server silent in the handshake", stage: stage{greets: true, prepare: mute}, strike: func(*scene) time.Time { return time.Time{} }},
	{name: "carrier lost in the handshake", stage: stage{greets: true, prepare: mute}, strike: func(s *scene) time.Time { greeted(); return lose(s) }},
	{name: "reset in the handshake", stage: stage{greets: true, prepare: mute}, strike: func(s *scene) time.Time {
		greeted()
		begun := time.Now()
		s.first.ResetConnections()
		return begun
	}},
	{name: "path silent at 0.3 s", stage: stage{early: true}, strike: drop},
	{name: "server frozen at 0.3 s", stage: stage{early: true}, strike: func(s *scene) time.Time {
		begun := time.Now()
		s.server.Freeze()
		return begun
	}},
}
