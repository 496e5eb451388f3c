package aggregate

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// listens starts a server that is told by its configuration to listen on port, and returns a way to it.
func listens(t *testing.T, name string, port int, conf string, argv ...string) Way {
	t.Helper()
	path, err := exec.LookPath(argv[0])
	if err != nil {
		if path, err = exec.LookPath("/usr/sbin/" + argv[0]); err != nil {
			t.Skip("needs " + argv[0])
		}
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "conf")
	if err := os.WriteFile(file, bytes.ReplaceAll([]byte(conf), []byte("DIR"), []byte(dir)), 0o644); err != nil {
		t.Fatal(err)
	}
	args := append([]string{path}, append(argv[1:], file)...)
	if os.Getuid() == 0 && argv[0] == "apache2" {
		args = append([]string{"unshare", "--user", "--map-user=1000", "--map-group=1000"}, args...) // it refuses to be root's
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir = dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM) // and with it its own processes
		cmd.Wait()
	})
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			conn.Close()
			return way{name: name, at: fmt.Sprintf("127.0.0.1:%d", port)}
		}
		if time.Now().After(end) {
			t.Fatalf("%s does not listen", name)
		}
	}
}

func freePort(t *testing.T) int {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// Servers of different make feed one reader; that of nginx ends its connections after some requests.
func TestServersOfDifferentMakeTogether(t *testing.T) {
	content := octets(8, 24<<20)
	root := t.TempDir()
	if err := os.WriteFile(filepath.Join(root, "file"), content, 0o644); err != nil {
		t.Fatal(err)
	}
	os.Chmod(root, 0o755)
	nginx, apache, lighttpd := freePort(t), freePort(t), freePort(t)
	user := ""
	if os.Getuid() == 0 {
		user = "user root root;"
	}
	ways := []Way{
		listens(t, "nginx", nginx, fmt.Sprintf(`daemon off; master_process off; %s pid DIR/pid; error_log DIR/error.log; events { worker_connections 64; }
http { access_log off; keepalive_requests 7; client_body_temp_path DIR/a; proxy_temp_path DIR/b; fastcgi_temp_path DIR/c; uwsgi_temp_path DIR/d; scgi_temp_path DIR/e;
server { listen 127.0.0.1:%d; root %s; limit_rate 10m; } }`, user, nginx, root), "nginx", "-e", "/dev/null", "-c"),
		listens(t, "lighttpd", lighttpd, fmt.Sprintf(`server.document-root = "%s"
server.port = %d
server.bind = "127.0.0.1"
server.max-keep-alive-requests = 1000
connection.kbytes-per-second = 10000
`, root, lighttpd), "lighttpd", "-D", "-f"),
		listens(t, "apache2", apache, fmt.Sprintf(`ServerRoot DIR
LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
LoadModule env_module /usr/lib/apache2/modules/mod_env.so
LoadModule ratelimit_module /usr/lib/apache2/modules/mod_ratelimit.so
SetOutputFilter RATE_LIMIT
SetEnv rate-limit 10000
ServerName lab
PidFile DIR/pid
DefaultRuntimeDir DIR
ErrorLog DIR/error.log
MaxKeepAliveRequests 4
StartServers 1
DocumentRoot %s
<Directory %s>
  Require all granted
</Directory>
Listen 127.0.0.1:%d
`, root, root, apache), "apache2", "-D", "FOREGROUND", "-f"),
	}
	const first = 200_000
	o := Options{First: first, End: int64(len(content)), Total: int64(len(content)), Known: content[first-64<<10 : first], KnownEnd: first, Overlap: 4 << 10, Prove: etagIs(`"none has it"`)}
	for _, w := range ways {
		o.Paths = append(o.Paths, PathOptions{Way: w})
	}
	a := New(o)
	defer a.Close()
	if err := fetch(t, a, content[first:]); err != nil {
		t.Fatal(err, a.States())
	}
	for _, s := range a.States() {
		if s.Octets == 0 {
			t.Errorf("%+v", s)
		}
	}
}
