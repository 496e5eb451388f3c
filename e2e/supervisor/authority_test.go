package supervisor

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"midstream/e2e/lab"
)

// A secureSite's servers speak TLS, with certificates of an authority that programs trust by SSL_CERT_FILE.
type secureSite struct {
	*site
	ca string
}

func newSecureSite(t *testing.T) *secureSite {
	t.Helper()
	s := &secureSite{site: &site{Lab: lab.New(t, lab.Net("wlan0", lab.Link{}), lab.Net("wwan0", lab.Link{})), t: t, root: t.TempDir(), web: map[string]*lab.Server{}}}
	s.sum = lab.Content(t, s.root, "film.mkv", size, 7)
	s.ca = lab.Authority(t, filepath.Join(t.TempDir(), "ca"))
	for _, n := range s.Networks() {
		n.DNS(map[string][]string{host: {n.Content(), n.Content6()}})
		certificate, key := lab.Certificate(t, s.ca, n.Name, host)
		s.web[n.Name] = n.Paced(s.root, lab.ServerOptions{Port: 443, LimitRate: pace, Certificate: certificate, Key: key})
		if n.Name == "wlan0" {
			n.Paced(s.root, lab.ServerOptions{Port: 8443, Certificate: certificate, Key: key}) // in a hurry
		}
	}
	s.UseResolver(s.Network("wlan0"))
	s.Configure("[failover]\nstandby = \"always\"\n[tls]\nreach = \"ca\"\n")
	return s
}

// trusting has a program trust the authority of the servers.
func (s *secureSite) trusting(p *lab.Program, ca string) *lab.Program {
	p.Env = append(p.Env, "SSL_CERT_FILE="+ca)
	return p
}

// asOrdinaryUser has a program be one of a user without any privilege, who may read the paths, and write into the first.
func (s *site) asOrdinaryUser(t *testing.T, p *lab.Program, folder string, paths ...string) {
	t.Helper()
	const user = 65534
	os.Mkdir(s.RuntimeDir(), 0o700)
	log, err := os.OpenFile(s.LogFile(), os.O_CREATE, 0o600)
	if err == nil {
		log.Close()
	}
	for _, own := range []string{s.RuntimeDir(), s.LogFile(), folder} {
		if err := os.Chown(own, user, user); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.Chown(own, 0, 0) })
	}
	for _, path := range append(paths, folder, s.ConfigFile(), p.Path) {
		for ; path != "/"; path = filepath.Dir(path) {
			if info, err := os.Stat(path); err == nil && info.Mode()&0o005 != 0o005 {
				os.Chmod(path, info.Mode()|0o055)
			}
		}
	}
	p.SysProcAttr.Credential = &syscall.Credential{Uid: user, Gid: user}
}

// javaTrust has Java trust the authority of the servers.
func (s *secureSite) javaTrust() string {
	store := filepath.Join(filepath.Dir(s.ca), "store")
	if _, err := exec.LookPath("keytool"); err == nil {
		if out, err := exec.Command("keytool", "-importcert", "-noprompt", "-alias", "lab", "-file", s.ca, "-keystore", store, "-storepass", "changeit").CombinedOutput(); err != nil {
			s.t.Fatalf("%v\n%s", err, out)
		}
	}
	return "-Djavax.net.ssl.trustStorePassword=changeit -Djavax.net.ssl.trustStore=" + store
}

// javaFetch is a program of Java's own HTTP client, and its own TLS.
func javaFetch(t *testing.T) string {
	t.Helper()
	source := filepath.Join(t.TempDir(), "Fetch.java")
	const text = `import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Path;

public class Fetch {
    public static void main(String[] args) throws Exception {
        HttpRequest request = HttpRequest.newBuilder(URI.create(args[0])).build();
        System.out.println(HttpClient.newHttpClient().send(request, HttpResponse.BodyHandlers.ofFile(Path.of(args[1]))).statusCode());
    }
}
`
	if err := os.WriteFile(source, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return source
}

// unsaid takes out what the launcher says, and Java of its options.
func unsaid(output string) string {
	var rest []string
	for _, line := range strings.Split(output, "\n") {
		if !strings.HasPrefix(line, "midstream: ") && !strings.HasPrefix(line, "Picked up JAVA_TOOL_OPTIONS") {
			rest = append(rest, line)
		}
	}
	return strings.Join(rest, "\n")
}

// Programs whose TLS no library can follow: their downloads move, and survive the end of their server.
func TestTLSOfUnreachablePrograms(t *testing.T) {
	s := newSecureSite(t)
	for _, c := range []struct {
		name, needs string
		command     []string
		trusting    []string // natively, beside SSL_CERT_FILE
	}{
		{"static Go", "", []string{goFetch(t, "fetch")}, nil},
		{"rclone", "rclone", []string{"rclone", "--config", "/dev/null", "copyurl"}, nil},
		{"Java", "javac", []string{"java", javaFetch(t)}, []string{"JAVA_TOOL_OPTIONS=" + s.javaTrust()}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := exec.LookPath(c.needs); c.needs != "" && err != nil {
				t.Skip(c.needs + " is not there")
			}
			out := filepath.Join(t.TempDir(), "out")
			same := s.trusting(s.Command(append(c.command, "https://"+host+":8443/film.mkv", out+".native")...), s.ca)
			same.Env = append(same.Env, c.trusting...)
			native := same.Run()
			p := s.trusting(s.Midstream(append(c.command, "https://"+host+"/film.mkv", out)...), s.ca)
			if c.needs == "" {
				s.asOrdinaryUser(t, p, filepath.Dir(out), c.command[0], s.ca)
			}
			p.Start()
			s.movesAndOutlives(t, p, func(at lab.Session) bool { return at.Via == "supervisor" && at.URL == "https://"+host+"/film.mkv" })
			lab.Compare(t, native, p.Wait(), unsaid)
			for _, file := range []string{out, out + ".native"} {
				if lab.Sum(file) != s.sum {
					t.Errorf("%s is another file", file)
				}
			}
			s.Await("the end of the authority", lab.Patience, func() bool {
				left, _ := filepath.Glob(filepath.Join(s.RuntimeDir(), "authority-*"))
				return len(left) == 0
			})
		})
	}
}

// identity reads a certificate and its key.
func identity(t *testing.T, certificate, key string) tls.Certificate {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(certificate, key)
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

// signed makes a certificate for a name, of a parent or of itself, which ends so much later than now.
func signed(t *testing.T, parent *tls.Certificate, name string, left time.Duration) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	leaf := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(left)}
	issuer, signer := leaf, any(key)
	if parent != nil {
		issuer, signer = parent.Leaf, parent.PrivateKey
	}
	der, err := x509.CreateCertificate(rand.Reader, leaf, issuer, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	leaf, _ = x509.ParseCertificate(der)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// Whatever TLS a program speaks, it comes to what it would natively; what cannot be ended is passed through.
func TestTLSLooksAsItWouldNatively(t *testing.T) {
	const name = "*.files.example"
	l := lab.New(t, lab.Net("wlan0", lab.Link{}))
	n := l.Network("wlan0")
	folder := t.TempDir()
	authority := lab.Authority(t, filepath.Join(folder, "ca"))
	certificate, key := lab.Certificate(t, authority, "server", name)
	good, issuer := identity(t, certificate, key), identity(t, authority, strings.TrimSuffix(authority, ".pem")+".key")
	own, ownKey := lab.Certificate(t, authority, "client", "client")
	if err := os.Rename(ownKey, own+".key"); err != nil {
		t.Fatal(err)
	}
	serve := func(port string, c *tls.Config, speak func(*tls.Conn)) {
		n.Answer(t, n.Content(), port, func(raw net.Conn) {
			conn := tls.Server(raw, c)
			if conn.Handshake() == nil {
				speak(conn)
			}
		})
	}
	web := func(c *tls.Conn) { answerHTTP(c) }
	serve("8101", &tls.Config{Certificates: []tls.Certificate{good}, NextProtos: []string{"h2", "http/1.1"}}, web)
	serve("8102", &tls.Config{Certificates: []tls.Certificate{good}}, web)
	serve("8103", &tls.Config{Certificates: []tls.Certificate{good}}, web)
	serve("8104", &tls.Config{Certificates: []tls.Certificate{good}, ClientAuth: tls.RequireAnyClientCert}, web)
	serve("8105", &tls.Config{Certificates: []tls.Certificate{signed(t, nil, name, time.Hour)}}, web)
	serve("8106", &tls.Config{Certificates: []tls.Certificate{signed(t, &issuer, name, -time.Hour)}}, web)
	serve("8107", &tls.Config{Certificates: []tls.Certificate{signed(t, &issuer, "other.example", time.Hour)}}, web)
	serve("8108", &tls.Config{GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) {
		if !slices.Contains(h.SupportedProtos, "h2") {
			return nil, errors.New("nothing but HTTP/2")
		}
		return &tls.Config{Certificates: []tls.Certificate{good}, NextProtos: []string{"h2"}}, nil
	}}, web)
	talk := func(end func(*tls.Conn)) func(*tls.Conn) {
		return func(c *tls.Conn) {
			io.WriteString(c, "welcome\n")
			text, err := io.ReadAll(c)
			fmt.Fprintf(c, "%q %v", text, err)
			end(c)
		}
	}
	plain := &tls.Config{Certificates: []tls.Certificate{good}}
	serve("8109", plain, talk(func(c *tls.Conn) { c.Close() }))
	serve("8110", plain, talk(func(*tls.Conn) {}))
	serve("8111", plain, talk(func(c *tls.Conn) { c.NetConn().(*net.TCPConn).SetLinger(0) }))
	serve("8112", plain, func(*tls.Conn) {})
	n.Answer(t, n.Content(), "8113", answerHTTP)
	serve("8114", plain, func(c *tls.Conn) { // has enough of an upload, and says so
		io.ReadFull(c, make([]byte, 1<<20))
		io.WriteString(c, strings.Repeat("too much\n", 400))
		c.NetConn().(*net.TCPConn).SetLinger(0)
	})
	n.Answer(t, n.Content(), "8115", func(c net.Conn) { // takes what comes first for all
		got, _ := c.Read(make([]byte, 100))
		fmt.Fprint(c, got)
		io.Copy(io.Discard, c)
	})
	var left atomic.Int64 // connections that have ended
	n.Answer(t, n.Content(), "8116", func(c net.Conn) {
		defer left.Add(1)
		io.Copy(io.Discard, c)
	})
	n.Answer(t, n.Content(), "8117", func(c net.Conn) {
		for end := time.Now().Add(10 * time.Second); left.Load() < 100 && time.Now().Before(end); {
			time.Sleep(time.Millisecond)
		}
		fmt.Fprint(c, left.Swap(0))
	})
	serve("8118", plain, func(c *tls.Conn) { // goes on behind its end
		io.WriteString(c, "all there is")
		c.CloseWrite()
		for piece := make([]byte, 1<<20); ; {
			if _, err := c.NetConn().Write(piece); err != nil {
				return
			}
		}
	})

	args := []string{goProgram(t, "secured", "testdata/secured.go"), n.Content(), own, good.Leaf.SerialNumber.String()}
	large := filepath.Join(folder, "large.pem")
	if pem, err := os.ReadFile(authority); err != nil || os.WriteFile(large, append([]byte(strings.Repeat(strings.Repeat("much", 15)+"\n", 5<<20/61)), pem...), 0o644) != nil {
		t.Fatal(err)
	}
	trusting := func(p *lab.Program) *lab.Program {
		p.Env = append(p.Env, "SSL_CERT_FILE="+large)
		return p
	}
	native := trusting(l.Command(args...)).Run()
	l.Configure("[reach]\nports = \"1-65535\"\n[tls]\nreach = \"ca\"\n")
	under := trusting(l.Midstream(args...)).Run()
	lab.Compare(t, native, under, unsaid)
	if !strings.Contains(under.Stderr, "midstream-supervisor ends TLS") {
		t.Errorf("it was not said what this means: %q", under.Stderr)
	}
	log, _ := os.ReadFile(l.LogFile())
	for _, why := range []string{"cannot verify the server's certificate", "asks for a client certificate", "refused the certificate of this run's authority"} {
		if !strings.Contains(string(log), why) {
			t.Errorf("no session says %q", why)
		}
	}
}

// answerHTTP answers requests until the connection ends.
func answerHTTP(c net.Conn) {
	r := bufio.NewReader(c)
	for {
		request, err := http.ReadRequest(r)
		if err != nil {
			return
		}
		body := []byte(strings.Repeat("film", 100000))
		if request.Method == "POST" {
			body, _ = io.ReadAll(request.Body)
		}
		fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", len(body))
		c.Write(body)
	}
}
