// A program that says what its TLS sessions with the servers of TestTLSLooksAsItWouldNatively come to, each at a port of its own.
package main

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
)

// name is what the server at a port is called: what stands against one host says nothing of the others.
func name(port string) string { return "at-" + port + ".files.example" }

var (
	address = os.Args[1]
	client  = os.Args[2] // a client certificate, its key beside it
	pinned  = os.Args[3] // the server's certificate, as a name of what it has to be
)

func leaf(s tls.ConnectionState) *x509.Certificate { return s.PeerCertificates[0] }

// why is an error without what differs from run to run.
func why(err error) string {
	var invalid x509.CertificateInvalidError
	var unknown x509.UnknownAuthorityError
	var other x509.HostnameError
	var wire *net.OpError
	switch {
	case errors.As(err, &invalid):
		return fmt.Sprint("invalid: ", invalid.Reason)
	case errors.As(err, &unknown):
		return "unknown authority"
	case errors.As(err, &other):
		return "another name: " + other.Host
	case errors.As(err, &wire):
		return fmt.Sprint(wire.Op, ": ", wire.Err)
	}
	return fmt.Sprint(err)
}

func dial(port string, c *tls.Config) (*tls.Conn, error) {
	if c.ServerName == "" {
		c.ServerName = name(port)
	}
	return tls.Dial("tcp", net.JoinHostPort(address, port), c)
}

// plain speaks HTTP with the server at a port.
func plain(port string) *http.Client {
	return &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{ServerName: name(port)}}}
}

// get asks for a page over HTTP.
func get(c *http.Client, port, path string, body io.Reader) {
	method := "GET"
	if body != nil {
		method = "POST"
	}
	request, _ := http.NewRequest(method, "https://"+net.JoinHostPort(address, port)+path, body)
	request.Host = name(port)
	answer, err := c.Do(request)
	if err != nil {
		fmt.Println(port, path, why(err))
		return
	}
	content, err := io.ReadAll(answer.Body)
	fmt.Println(port, path, answer.Status, len(content), err, answer.TLS.DidResume, tls.VersionName(answer.TLS.Version), answer.TLS.NegotiatedProtocol)
}

// resumes makes two connections, the second of which resumes the first's session.
func resumes(port string, version uint16) {
	c := &tls.Config{ServerName: name(port), MaxVersion: version, ClientSessionCache: tls.NewLRUClientSessionCache(8), NextProtos: []string{"http/1.1"}}
	for range 2 {
		get(&http.Client{Transport: &http.Transport{TLSClientConfig: c.Clone(), DisableKeepAlives: true}}, port, "/film.mkv", nil)
	}
}

// keeps resumes a session, after connections that have failed for many other names at another port.
func keeps(port, other string) {
	c := &tls.Config{ServerName: name(port), ClientSessionCache: tls.NewLRUClientSessionCache(8)}
	for i := range 2 {
		get(&http.Client{Transport: &http.Transport{TLSClientConfig: c.Clone(), DisableKeepAlives: true}}, port, "/film.mkv", nil)
		for j := 0; i == 0 && j < 80; j++ {
			bad, err := dial(other, &tls.Config{ServerName: fmt.Sprint("bad-", j, ".files.example")})
			if err == nil {
				fmt.Println(other, "is good")
				bad.Close()
			}
		}
	}
}

// uploads sends more than the server wants, and reads what it says to that.
func uploads(port string) {
	c, err := dial(port, &tls.Config{})
	if err != nil {
		fmt.Println(port, why(err))
		return
	}
	n, err := io.Copy(struct{ io.Writer }{c}, io.LimitReader(new(numbers), 256<<20))
	said, end := io.ReadAll(c)
	fmt.Println(port, "uploads", n == 256<<20, err != nil, len(said), end != nil)
	c.Close()
}

// begins sends what may become a ClientHello, and waits for an answer.
func begins(port string) {
	c, err := net.Dial("tcp", net.JoinHostPort(address, port))
	if err != nil {
		fmt.Println(port, why(err))
		return
	}
	c.Write([]byte{22, 3, 1})
	answer := make([]byte, 1)
	_, err = c.Read(answer)
	fmt.Printf("%s begins %q %v\n", port, answer, why(err))
	c.Close()
}

// recorder is a connection that takes what is written, and brings nothing.
type recorder struct {
	net.Conn
	written []byte
}

func (r *recorder) Write(p []byte) (int, error) {
	r.written = append(r.written, p...)
	return len(p), nil
}
func (r *recorder) Read([]byte) (int, error) { return 0, io.EOF }

// leaves makes many connections that end as soon as they have said what they want, and asks at another port whether the server knows.
func leaves(port, other string) {
	var hello recorder
	tls.Client(&hello, &tls.Config{ServerName: name(port)}).Handshake()
	for range 100 {
		c, err := net.Dial("tcp", net.JoinHostPort(address, port))
		if err != nil {
			fmt.Println(port, why(err))
			return
		}
		c.Write(hello.written)
		c.Close()
	}
	c, _ := net.Dial("tcp", net.JoinHostPort(address, other))
	said, err := io.ReadAll(c)
	fmt.Println(port, "leaves", string(said), err)
}

// ignores reads to the end of a server that goes on behind it, and speaks to others before it closes the connection.
func ignores(port, other string) {
	c, err := dial(port, &tls.Config{})
	if err != nil {
		fmt.Println(port, why(err))
		return
	}
	said, err := io.ReadAll(c)
	fmt.Println(port, string(said), err)
	get(plain(other), other, "/film.mkv", nil)
	c.Close()
}

// asks sends a request, and awaits the answer's first octet.
func asks(c *tls.Conn) {
	fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", c.ConnectionState().ServerName)
	c.Read(make([]byte, 1))
}

// pins looks at the certificate, within the handshake or after it, and says whether it was the server's at the last of some attempts.
func pins(port string, inside bool) {
	for attempt := range 2 {
		right := func(s tls.ConnectionState) error {
			if leaf(s).SerialNumber.String() != pinned {
				return errors.New("another certificate")
			}
			return nil
		}
		config := &tls.Config{}
		if inside {
			config.VerifyConnection = right
		}
		c, err := dial(port, config)
		if err == nil {
			if err = right(c.ConnectionState()); err == nil {
				asks(c)
			}
			c.Close()
		}
		if attempt == 1 {
			fmt.Println(port, "pins", inside, err)
		}
	}
}

// talks speaks something else than HTTP: it is greeted, ends its side, and reads to the end.
func talks(port string) {
	c, err := dial(port, &tls.Config{})
	if err != nil {
		fmt.Println(port, why(err))
		return
	}
	r := bufio.NewReader(c)
	greeting, err := r.ReadString('\n')
	fmt.Fprintf(c, "what has been said\n")
	c.CloseWrite()
	rest, err2 := io.ReadAll(r)
	fmt.Printf("%s %q %v %q %v %q\n", port, greeting, why(err), rest, why(err2), c.ConnectionState().NegotiatedProtocol)
}

// shows says whose certificate was shown to who does not verify any.
func shows(port string) {
	c, err := dial(port, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		fmt.Println(port, why(err))
		return
	}
	asks(c)
	fmt.Println(port, "shows", leaf(c.ConnectionState()).Subject, leaf(c.ConnectionState()).Issuer)
	c.Close()
}

// chooses says which protocol the server has chosen.
func chooses(port string) {
	c, err := dial(port, &tls.Config{NextProtos: []string{"h2", "http/1.1"}})
	if err != nil {
		fmt.Println(port, why(err))
		return
	}
	fmt.Println(port, "chooses", c.ConnectionState().NegotiatedProtocol)
	c.Close()
}

// crowds has many connections at once.
func crowds(port string) {
	const many = 200
	var wrong atomic.Int64
	var wait, ready sync.WaitGroup
	ready.Add(many)
	for range many {
		wait.Go(func() {
			c, err := dial(port, &tls.Config{})
			ready.Done()
			ready.Wait() // until all are connected
			if err == nil {
				asks(c)
				c.Close()
			} else {
				wrong.Add(1)
			}
		})
	}
	wait.Wait()
	fmt.Println(port, "crowds", wrong.Load())
}

func main() {
	resumes("8101", tls.VersionTLS12)
	resumes("8101", tls.VersionTLS13)
	kept := plain("8101")
	for range 3 { // on one connection
		get(kept, "8101", "/film.mkv", nil)
	}
	get(kept, "8101", "/echo", io.LimitReader(new(numbers), 3<<20))
	pins("8102", true)
	pins("8103", false)
	own, err := tls.LoadX509KeyPair(client, client+".key")
	if err != nil {
		fmt.Println(err)
	}
	for _, certificates := range [][]tls.Certificate{{own}, nil} {
		get(&http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{ServerName: name("8104"), Certificates: certificates}}}, "8104", "/film.mkv", nil)
	}
	for _, port := range []string{"8105", "8106", "8107"} { // self-signed, expired, of another name
		get(plain(port), port, "/film.mkv", nil)
		shows(port)
		get(plain(port), port, "/film.mkv", nil)
	}
	chooses("8108")
	for _, port := range []string{"8109", "8110", "8111", "8112"} { // ends as it should, without close_notify, by RST, at once
		talks(port)
	}
	crowds("8101")
	keeps("8101", "8105")
	uploads("8114")
	leaves("8116", "8117")
	ignores("8118", "8101")
	get(plain("8113"), "8113", "/film.mkv", nil) // plain HTTP
	begins("8115")
}

// numbers is content.
type numbers struct{ at int }

func (n *numbers) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte((n.at + i) * 2654435761 >> 16)
	}
	n.at += len(p)
	return len(p), nil
}
