// The HTTP proxies of a network. They resolve names by the network's own DNS server.

package lab

import "fmt"

// ProxyPort is where the proxies of a network listen, at 10.77.i.81.
const ProxyPort = 3128

// Tinyproxy is a forward proxy without cache. Its LogFile has lines of its own, not those of an access log.
func (n *Network) Tinyproxy() *Server {
	n.lab.t.Helper()
	return n.TinyproxyWith("")
}

// TinyproxyWith is Tinyproxy with further lines of its configuration.
func (n *Network) TinyproxyWith(extra string) *Server {
	n.lab.t.Helper()
	s := n.newServer("tinyproxy")
	conf := s.write("tinyproxy.conf", fmt.Sprintf("Listen %s\nPort %d\nLogFile %q\nLogLevel Connect\nTimeout 3600\nMaxClients 1000\n%s",
		n.Proxy(), ProxyPort, s.LogFile, extra))
	return s.start(fmt.Sprintf("%s:%d", n.Proxy(), ProxyPort), s.resolving("tinyproxy", "-d", "-c", conf)...)
}

// Squid is a forward proxy without a disk cache. extra are further lines of its configuration.
func (n *Network) Squid(extra string) *Server {
	n.lab.t.Helper()
	s := n.newServer("squid")
	conf := s.write("squid.conf", fmt.Sprintf(`http_port %s:%d
cache deny all
access_log stdio:%s
cache_log %s
pid_filename %s/squid.pid
coredump_dir %s
shutdown_lifetime 0 seconds
dns_nameservers %s
%s
http_access allow all
`, n.Proxy(), ProxyPort, s.LogFile, s.errorFile, s.Dir, s.Dir, n.Resolver(), extra))
	return s.start(fmt.Sprintf("%s:%d", n.Proxy(), ProxyPort), unprivileged("squid", "-N", "-n", fmt.Sprintf("lab%d", n.Index), "-f", conf)...)
}
