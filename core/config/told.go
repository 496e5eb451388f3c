// Whom midstreamd tells of what it sees: a monitoring system, the person at the desk. Both only on request.
package config

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"
)

// Metrics says where midstreamd can be asked for its figures.
type Metrics struct {
	// Listen is "unix:" and an absolute path, or an address of the loopback interface and a port; "" for nowhere. What is
	// downloaded by whom is nobody else's business.
	Listen string `json:"listen"`
}

// Notify says what a person is told at once.
type Notify struct {
	// Desktop makes midstreamd show that a download has moved, is held or is given up, as the desktop shows such things.
	Desktop bool `json:"desktop"`
}

func (d *decoder) metrics(p path, value any, m *Metrics) {
	d.table(p, value, keys{
		"listen": func(p path, v any) {
			text, ok := d.text(p, v, `where to listen, as in "127.0.0.1:9464" or "unix:/run/midstream/metrics.sock"`)
			if !ok {
				return
			}
			if why := wrongListen(text); why != "" {
				d.fail(p, why, `write "127.0.0.1:PORT", "[::1]:PORT" or "unix:/PATH"`)
				return
			}
			m.Listen = text
		},
	})
}

func (d *decoder) notify(p path, value any, n *Notify) {
	d.table(p, value, keys{"desktop": func(p path, v any) { n.Desktop = d.boolean(p, v) }})
}

func wrongListen(text string) string {
	if file, ok := strings.CutPrefix(text, "unix:"); ok {
		if !filepath.IsAbs(file) || len(file) > 100 { // sockaddr_un has 108 octets
			return fmt.Sprintf("%q is no absolute path of a socket, or too long", file)
		}
		return ""
	}
	if text == "" {
		return ""
	}
	at, err := netip.ParseAddrPort(text)
	switch {
	case err != nil || at.Port() == 0:
		return fmt.Sprintf("%q is no address with a port", text)
	case !at.Addr().IsLoopback():
		return at.Addr().String() + " is not this host's loopback interface: others would be told what is downloaded here"
	}
	return ""
}

// String is the section as it would stand in a file.
func (m Metrics) String() string { return fmt.Sprintf("[metrics]\nlisten = %q\n", m.Listen) }

// String is the section as it would stand in a file.
func (n Notify) String() string { return fmt.Sprintf("[notify]\ndesktop = %t\n", n.Desktop) }
