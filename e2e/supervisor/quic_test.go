package supervisor

import (
	"io"
	"net"
	"regexp"
	"strings"
	"testing"

	"midstream/e2e/lab"
)

// With tls.http3 = "refuse", UDP to port 443 fails at once, of programs under the preload and under the supervisor; nothing else does.
func TestQUICIsRefused(t *testing.T) {
	l := lab.New(t, lab.Net("wlan0", lab.Link{}))
	n := l.Network("wlan0")
	for _, address := range []string{n.Content(), n.Content6()} {
		n.Answer(t, address, "443", func(c net.Conn) { io.Copy(io.Discard, c) })
	}
	refused := regexp.MustCompile(`(?m)^(connect|sendto|sendmsg|sendmmsg|sendmmsg, first) 443: .*$`)
	for _, c := range []struct {
		name, second string
		flags        []string
	}{
		{"preloaded", "1", nil},
		{"static", "2", []string{"-static"}}, // what is behind another message is let go
	} {
		t.Run(c.name, func(t *testing.T) {
			program := l.CC("quic", c.flags...)
			l.Configure("[tls]\nhttp3 = \"allow\"\n")
			native, under := l.Both(nil, program, n.Content(), n.Content6())
			lab.Compare(t, native, under, unsaid)
			l.Configure("[tls]\nhttp3 = \"refuse\"\n")
			want := refused.ReplaceAllString(native.Stdout, "$1 443: -1 ECONNREFUSED")
			want = strings.ReplaceAll(want, "sendmmsg, second 443: 2", "sendmmsg, second 443: "+c.second)
			if r := l.Midstream(program, n.Content(), n.Content6()).Run(); r.Stdout != want || r.Status != native.Status {
				t.Errorf("%v\nnot\n%s", r, want)
			}
		})
	}
}
