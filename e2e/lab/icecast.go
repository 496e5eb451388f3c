// Icecast, and a station's sound, which several of them are sent as it is made.

package lab

import (
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

const icecastPassword = "source"

// Icecast starts one without a source. A listener is sent burst octets at once.
func (n *Network) Icecast(burst int, o ServerOptions) *Server {
	n.lab.t.Helper()
	o = o.complete(n)
	s := n.newServer("icecast2")
	var listen strings.Builder
	for _, a := range o.Addresses {
		fmt.Fprintf(&listen, "<listen-socket><port>%d</port><bind-address>%s</bind-address></listen-socket>\n", o.Port, a)
	}
	conf := s.write("icecast.xml", fmt.Sprintf(`<icecast>
<limits><clients>100</clients><sources>4</sources><queue-size>2000000</queue-size><source-timeout>60</source-timeout>
<burst-on-connect>1</burst-on-connect><burst-size>%d</burst-size></limits>
<authentication><source-password>%s</source-password><admin-user>admin</admin-user><admin-password>%[2]s</admin-password></authentication>
<hostname>lab</hostname>
%s<paths><basedir>/usr/share/icecast2</basedir><logdir>%s</logdir><webroot>/usr/share/icecast2/web</webroot><adminroot>/usr/share/icecast2/admin</adminroot></paths>
<logging><accesslog>access.log</accesslog><errorlog>error.log</errorlog><loglevel>3</loglevel></logging>
%s</icecast>
`, burst, icecastPassword, listen.String(), s.Dir, o.Extra))
	// Icecast 2.4.4 crashes now and then where somebody connects while it still starts its threads, of which nothing tells the end.
	s.settled = func() bool {
		info, err := os.Stat(s.errorFile)
		return err == nil && time.Since(info.ModTime()) > 250*time.Millisecond
	}
	return s.start(o.sockets()[0], unprivileged("icecast2", "-c", conf)...)
}

// Station is a source of several servers, which all are sent the same at the same time.
type Station struct {
	lab     *Lab
	Sound   []byte
	servers []*Server
	conns   []net.Conn
	mount   string
	rate    int
	sent    atomic.Int64
	stop    chan struct{}
	ended   chan struct{}
}

// Station sends sound, a file's octets of the type, to the servers under the name: the first ahead octets at once, so that the
// servers have a burst, the rest at rate octets a second.
func (l *Lab) Station(mount, kind string, sound []byte, ahead, rate int, servers ...*Server) *Station {
	l.t.Helper()
	st := &Station{lab: l, Sound: sound, servers: servers, mount: mount, rate: rate, stop: make(chan struct{}), ended: make(chan struct{})}
	for _, s := range servers {
		c := s.dial()
		fmt.Fprintf(c, "PUT /%s HTTP/1.0\r\nAuthorization: Basic %s\r\nContent-Type: %s\r\nIce-Name: A station\r\nIce-Bitrate: %d\r\n\r\n",
			mount, base64.StdEncoding.EncodeToString([]byte("source:"+icecastPassword)), kind, rate*8/1000)
		answer := make([]byte, 12)
		if _, err := c.Read(answer); err != nil || !strings.HasSuffix(string(answer), "200") {
			l.t.Fatalf("lab: icecast takes no source: %q, %v", answer, err)
		}
		st.conns = append(st.conns, c)
	}
	st.send(ahead)
	go st.run()
	l.t.Cleanup(st.End)
	return st
}

// send sends the next octets to all servers that still take them.
func (st *Station) send(n int) {
	at := int(st.sent.Load())
	n = min(n, len(st.Sound)-at)
	for _, c := range st.conns {
		c.Write(st.Sound[at : at+n]) // one may have been killed
	}
	st.sent.Add(int64(n))
}

func (st *Station) run() {
	defer close(st.ended)
	defer func() {
		for _, c := range st.conns {
			c.Close()
		}
	}()
	const tick = 50 * time.Millisecond
	for t := time.NewTicker(tick); st.sent.Load() < int64(len(st.Sound)); {
		select {
		case <-t.C:
			st.send(int(float64(st.rate) * tick.Seconds()))
		case <-st.stop:
			return
		}
	}
}

// Sent is how many octets it has sent.
func (st *Station) Sent() int64 { return st.sent.Load() }

// End has it stop.
func (st *Station) End() {
	select {
	case <-st.stop:
	default:
		close(st.stop)
	}
	<-st.ended
}

// Title tells all servers what is played.
func (st *Station) Title(text string) {
	st.lab.t.Helper()
	for _, s := range st.servers {
		if s.exited() {
			continue
		}
		c := s.dial()
		r, err := http.NewRequest("GET", "http://lab/admin/metadata?mode=updinfo&mount="+url.QueryEscape("/"+st.mount)+"&song="+url.QueryEscape(text), nil)
		if err == nil {
			r.SetBasicAuth("source", icecastPassword)
			err = r.Write(c)
		}
		if err == nil {
			_, err = c.Read(make([]byte, 1024))
		}
		if c.Close(); err != nil {
			st.lab.t.Fatalf("lab: icecast takes no title: %v", err)
		}
	}
}

// dial connects to the server from its own network.
func (s *Server) dial() net.Conn {
	s.Network.lab.t.Helper()
	c, err := s.connect()
	s.Network.must(err)
	return c
}

func (s *Server) connect() (c net.Conn, err error) {
	err = s.Network.Do(func() error {
		a := s.ready.Addr().As4()
		fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		f := os.NewFile(uintptr(fd), "to "+s.Name)
		defer f.Close()
		if err := syscall.Connect(fd, &syscall.SockaddrInet4{Port: int(s.ready.Port()), Addr: a}); err != nil {
			return err
		}
		c, err = net.FileConn(f)
		return err
	})
	return c, err
}
