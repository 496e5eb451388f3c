// The content servers: nginx, Apache, lighttpd, Python. Each but the last writes the access log that accesslog.go reads.

package lab

import (
	"fmt"
	"strings"
)

// Nginx serves docroot. Entity tags and modification times are as it makes them by default.
func (n *Network) Nginx(docroot string, o ServerOptions) *Server {
	n.lab.t.Helper()
	o = o.complete(n)
	s := n.newServer("nginx")
	var listen strings.Builder
	for _, socket := range o.sockets() {
		fmt.Fprintf(&listen, "    listen %s backlog=4096 %s;\n", socket, o.Listen)
	}
	// One process, not a master and a worker: a master that is root has to give its worker to
	// another user, of which a user namespace has none. For the same reason its folders are root's.
	conf := s.write("nginx.conf", fmt.Sprintf(`daemon off;
master_process off;
user root root;
pid nginx.pid;
error_log error.log notice;
events { worker_connections 8192; }
http {
  log_format lab '%s';
  access_log access.log lab;
  default_type application/octet-stream;
  sendfile on;
  tcp_nopush on;
  keepalive_timeout 3600;
  keepalive_requests 100000000;
  client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
  server {
%s    root %q;
    autoindex on;
    limit_rate %d;
    %s
  }
}
`, nginxFormat, listen.String(), docroot, o.LimitRate, o.Extra))
	return s.start(o.sockets()[0], "nginx", "-p", s.Dir, "-e", s.errorFile, "-c", conf)
}

// Apache serves docroot with the event MPM.
func (n *Network) Apache(docroot string, o ServerOptions) *Server {
	n.lab.t.Helper()
	o = o.complete(n)
	s := n.newServer("apache2")
	var listen strings.Builder
	for _, socket := range o.sockets() {
		fmt.Fprintf(&listen, "Listen %s\n", socket)
	}
	conf := s.write("apache.conf", fmt.Sprintf(`ServerRoot %q
LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
ServerName lab
PidFile apache.pid
DefaultRuntimeDir %q
ErrorLog error.log
LogFormat "%s" lab
CustomLog access.log lab
KeepAliveTimeout 3600
MaxKeepAliveRequests 0
StartServers 1
DocumentRoot %q
<Directory %q>
  Require all granted
</Directory>
%s%s
`, s.Dir, s.Dir, apacheFormat, docroot, docroot, listen.String(), o.Extra))
	return s.start(o.sockets()[0], unprivileged("apache2", "-D", "FOREGROUND", "-f", conf)...)
}

// Lighttpd serves docroot.
func (n *Network) Lighttpd(docroot string, o ServerOptions) *Server {
	n.lab.t.Helper()
	o = o.complete(n)
	s := n.newServer("lighttpd")
	var listen strings.Builder
	for _, socket := range o.sockets()[1:] {
		fmt.Fprintf(&listen, "$SERVER[\"socket\"] == %q { }\n", socket)
	}
	conf := s.write("lighttpd.conf", fmt.Sprintf(`server.modules = ("mod_accesslog")
server.document-root = %q
server.bind = %q
server.port = %d
server.errorlog = %q
server.upload-dirs = (%q)
server.max-keep-alive-requests = 65535
server.max-keep-alive-idle = 3600
server.kbytes-per-second = 0
connection.kbytes-per-second = %d
etag.use-inode = "disable"
accesslog.filename = %q
accesslog.format = "%s"
%s%s
`, docroot, strings.Trim(o.Addresses[0], "[]"), o.Port, s.errorFile, s.Dir, o.LimitRate/1024, s.LogFile, lighttpdFormat, listen.String(), o.Extra))
	return s.start(o.sockets()[0], "lighttpd", "-D", "-f", conf)
}

// Python serves docroot with http.server: HTTP/1.0, no ranges, no entity tags. On the first address only.
func (n *Network) Python(docroot string, o ServerOptions) *Server {
	n.lab.t.Helper()
	o = o.complete(n)
	s := n.newServer("python3")
	return s.start(o.sockets()[0], "python3", "-m", "http.server", "--bind", o.Addresses[0], "--directory", docroot, fmt.Sprint(o.Port))
}
