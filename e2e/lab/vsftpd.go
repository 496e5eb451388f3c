// vsftpd: an FTP server.

package lab

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// Vsftpd starts one that hands out docroot to anonymous users, at port 21 unless asked otherwise, at the first of the addresses.
// LimitRate is for each file; Extra are lines of its configuration.
func (n *Network) Vsftpd(docroot string, o ServerOptions) *Server {
	n.lab.t.Helper()
	if o.Port == 0 {
		o.Port = 21
	}
	o = o.complete(n)
	s := n.newServer("vsftpd")
	empty := filepath.Join(s.Dir, "empty")
	n.must(os.Mkdir(empty, 0o755))
	listen := "listen=YES\nlisten_ipv6=NO\nlisten_address="
	if strings.Contains(o.Addresses[0], ":") {
		listen = "listen=NO\nlisten_ipv6=YES\nlisten_address6="
	}
	conf := s.write("vsftpd.conf", fmt.Sprintf(`%s%s
listen_port=%d
background=NO
anonymous_enable=YES
local_enable=NO
anon_root=%s
ftp_username=daemon
nopriv_user=nobody
secure_chroot_dir=%s
allow_writeable_chroot=YES
seccomp_sandbox=NO
isolate_network=NO
isolate=NO
session_support=NO
anon_max_rate=%d
mdtm_write=NO
xferlog_enable=YES
vsftpd_log_file=%s
log_ftp_protocol=YES
%s
`, listen, o.Addresses[0], o.Port, docroot, empty, o.LimitRate, s.LogFile, o.Extra))
	return s.start(o.sockets()[0], "vsftpd", conf)
}

// KillAll ends the server and its sessions at once: each of vsftpd's has a process group of its own.
func (s *Server) KillAll() {
	s.Kill()
	own, err := os.Stat(s.Network.path())
	s.Network.must(err)
	found, _ := filepath.Glob("/proc/[0-9]*/ns/net")
	for _, path := range found {
		process := filepath.Dir(filepath.Dir(path))
		name, _ := os.ReadFile(process + "/comm")
		in, err := os.Stat(path)
		if pid, bad := strconv.Atoi(filepath.Base(process)); bad == nil && err == nil && os.SameFile(own, in) && strings.TrimSpace(string(name)) == s.Name {
			syscall.Kill(pid, syscall.SIGKILL)
		}
	}
}
