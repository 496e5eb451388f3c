// What is set for TLS.
package config

import (
	"fmt"
)

// TLS says how the program's TLS sessions are treated.
type TLS struct {
	// HTTP2 is what becomes of HTTP/2 where a program offers it beside HTTP/1.1.
	HTTP2 HTTP2 `json:"http2"`
	// HTTP3 is what becomes of QUIC.
	HTTP3 HTTP3 `json:"http3"`
	// Identity is what makes another certificate that of the same server, where the program judges certificates by itself.
	Identity Identity `json:"identity"`
	// Reach is what becomes of TLS that cannot be followed at its library. The launcher hands it to midstream-supervisor.
	Reach TLSReach `json:"reach"`
}

// HTTP2 is what becomes of an offer of HTTP/2. The shim reads it from the file by itself, before the core is there.
type HTTP2 string

const (
	// HTTP2Avoid leaves HTTP/2 out of the offer, so that the download can be moved.
	HTTP2Avoid HTTP2 = "avoid"
	// HTTP2Keep leaves the offer as it is.
	HTTP2Keep HTTP2 = "keep"
)

// HTTP3 is what becomes of UDP to port 443. The shim reads it from the file by itself, and the launcher hands it to midstream-supervisor.
type HTTP3 string

const (
	// HTTP3Allow leaves it alone: what goes over HTTP/3 cannot be moved.
	HTTP3Allow HTTP3 = "allow"
	// HTTP3Refuse has it fail, so that programs use TCP.
	HTTP3Refuse HTTP3 = "refuse"
)

// Identity is what a program that looks at certificates by itself may be moved to.
type Identity string

const (
	// IdentityKey is a server with the same certificate or the same public key.
	IdentityKey Identity = "key"
	// IdentityIssuer is, beside that, one whose certificate has the same names and was issued by the same certificate.
	IdentityIssuer Identity = "issuer"
)

// TLSReach is how far TLS is reached.
type TLSReach string

const (
	// TLSHook leaves TLS alone that cannot be followed at its library.
	TLSHook TLSReach = "hook"
	// TLSAuthority ends it by a certificate authority of the run.
	TLSAuthority TLSReach = "ca"
)

func (d *decoder) tls(p path, value any, t *TLS) {
	d.table(p, value, keys{
		"http2": func(p path, v any) { t.HTTP2 = choice(d, p, v, "no way to treat HTTP/2", HTTP2Avoid, HTTP2Keep) },
		"http3": func(p path, v any) { t.HTTP3 = choice(d, p, v, "no way to treat HTTP/3", HTTP3Allow, HTTP3Refuse) },
		"identity": func(p path, v any) {
			t.Identity = choice(d, p, v, "no way to know a server by its certificate", IdentityKey, IdentityIssuer)
		},
		"reach": func(p path, v any) { t.Reach = choice(d, p, v, "no way to reach TLS", TLSHook, TLSAuthority) },
	})
}

// String is the section as it would stand in a file.
func (t TLS) String() string {
	return fmt.Sprintf("[tls]\nhttp2 = %q\nhttp3 = %q\nidentity = %q\nreach = %q\n", string(t.HTTP2), string(t.HTTP3), string(t.Identity), string(t.Reach))
}
