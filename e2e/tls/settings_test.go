package tls

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"midstream/e2e/lab"
)

// fetcher compiles the client that has settings of its own, for OpenSSL or GnuTLS.
func (s *site) fetcher(gnu bool) string {
	s.t.Helper()
	path := filepath.Join(s.Dir, "tlsfetch-openssl")
	flags := []string{"-l:libssl.so.3", "-l:libcrypto.so.3"}
	if gnu {
		path = filepath.Join(s.Dir, "tlsfetch-gnutls")
		flags = []string{"-DGNUTLS", "-l:libgnutls.so.30"}
	}
	s.CC("tlsfetch", append(flags, "-o", path)...)
	return path
}

// revoked makes a list that revokes a certificate of the authority.
func (a authority) revoked(id identity) string {
	a.t.Helper()
	folder := a.t.TempDir()
	config, list := filepath.Join(folder, "ca.conf"), filepath.Join(folder, "list.pem")
	text := fmt.Sprintf("[ca]\ndefault_ca = c\n[c]\ndatabase = %[1]s/index\ndefault_md = sha256\ndefault_crl_days = 30\n", folder)
	for file, text := range map[string]string{config: text, filepath.Join(folder, "index"): ""} {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			a.t.Fatal(err)
		}
	}
	args := []string{"ca", "-config", config, "-cert", a.certificate, "-keyfile", a.key}
	openssl(a.t, append(args, "-revoke", id.certificate)...)
	openssl(a.t, append(args, "-gencrl", "-out", list)...)
	return list
}

// What a program has asked of the old server is asked of the new one: a server that does not fulfil it is refused, and taken
// by a program that asks for nothing.
func TestSettingsHold(t *testing.T) {
	curl := func(more ...string) func(s *site, out string) []string {
		return func(s *site, out string) []string {
			return append([]string{"curl", "-sS", "--cacert", s.ca.certificate, "-o", out, s.url()}, more...)
		}
	}
	wget := func(more ...string) func(s *site, out string) []string {
		return func(s *site, out string) []string {
			return append([]string{"wget", "-q", "--ca-certificate=" + s.ca.certificate, "-O", out, s.url()}, more...)
		}
	}
	fetch := func(gnu bool, more ...string) func(s *site, out string) []string {
		return func(s *site, out string) []string {
			return append([]string{s.fetcher(gnu), s.ca.certificate, host, "443", "/" + name, out}, more...)
		}
	}
	extra := func(lines string) func(*site) identity {
		return func(*site) identity { return identity{extra: lines} }
	}
	rsa := func(s *site) identity { return s.ca.issueFor("rsa", host, 30, "rsa:2048") }
	deeper := func(s *site) identity { return s.ca.below("middle").chained("leaf", host) }
	const other = "ssl_protocols TLSv1.2 TLSv1.3;"
	cases := []struct {
		name         string
		far          func(*site) identity
		strict, lax  func(s *site, out string) []string
		reason       string
		needsRevoked bool
	}{
		{name: "ciphers", far: extra(other + "ssl_ciphers ECDHE-ECDSA-AES128-GCM-SHA256;"), reason: "handshake",
			strict: curl("--tls-max", "1.2", "--ciphers", "ECDHE-ECDSA-AES256-GCM-SHA384"), lax: curl("--tls-max", "1.2")},
		{name: "ciphers of TLS 1.3", far: extra(other + "ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256;"), reason: "handshake",
			strict: curl("--tls13-ciphers", "TLS_AES_256_GCM_SHA384"), lax: curl()},
		{name: "curves", far: extra(other + "ssl_ecdh_curve secp384r1;"), reason: "handshake", strict: curl("--curves", "X25519"), lax: curl()},
		{name: "latest version", far: extra("ssl_protocols TLSv1.3;"), reason: "handshake", strict: curl("--tls-max", "1.2"), lax: curl()},
		{name: "revoked", reason: "revoked", needsRevoked: true, strict: curl("--crlfile", "LIST"), lax: curl()},
		{name: "depth", far: deeper, reason: "verify", strict: fetch(false, "depth=0"), lax: fetch(false)},
		{name: "digest", reason: "itself", strict: fetch(false, "digest"), lax: fetch(false)},
		{name: "groups of the context", far: extra(other + "ssl_ecdh_curve secp384r1;"), reason: "handshake",
			strict: fetch(false, "groups=X25519"), lax: fetch(false)},
		{name: "groups of the session", far: extra(other + "ssl_ecdh_curve secp384r1;"), reason: "handshake",
			strict: fetch(false, "groups=X25519:P-384", "own-groups=X25519"), lax: fetch(false, "groups=X25519", "own-groups=X25519:P-384")},
		{name: "signatures", far: rsa, reason: "handshake", strict: fetch(false, "signatures=ECDSA+SHA256"), lax: fetch(false)},
		{name: "no more to send", reason: "ended its side", strict: fetch(false, "bye"), lax: fetch(false)},
		{name: "no more to send, GnuTLS", reason: "ended its side", strict: fetch(true, "bye"), lax: fetch(true)},
		{name: "fingerprint, GnuTLS", reason: "itself", strict: fetch(true, "fingerprint"), lax: fetch(true)},
		{name: "digest, GnuTLS", reason: "itself", strict: fetch(true, "digest"), lax: fetch(true)},
		{name: "groups, GnuTLS", far: extra(other + "ssl_ecdh_curve secp384r1;"), reason: "handshake",
			strict: fetch(true, "priority=NORMAL:-GROUP-ALL:+GROUP-X25519"), lax: fetch(true)},
		{name: "ciphers, GnuTLS", far: extra(other + "ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256; ssl_ciphers ECDHE-ECDSA-AES128-GCM-SHA256;"),
			reason: "handshake", strict: wget("--ciphers=NORMAL:-CIPHER-ALL:+AES-256-GCM"), lax: wget()},
		{name: "signatures, GnuTLS", far: rsa, reason: "handshake",
			strict: fetch(true, "priority=NORMAL:-SIGN-ALL:+SIGN-ECDSA-SHA256:+SIGN-ECDSA-SECP256R1-SHA256"), lax: fetch(true)},
		{name: "latest version, GnuTLS", far: extra("ssl_protocols TLSv1.3;"), reason: "handshake",
			strict: wget("--ciphers=NORMAL:-VERS-ALL:+VERS-TLS1.2"), lax: wget()},
		{name: "revoked, GnuTLS", reason: "verify", needsRevoked: true, strict: wget("--crl-file=LIST"), lax: wget()},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t, lab.Link{})
			far := identity{}
			if c.far != nil {
				far = c.far(s)
			}
			s.serveAt(s.Network("wwan0"), far)
			near := s.slow("wlan0")
			revoked := ""
			if c.needsRevoked {
				revoked = s.ca.revoked(identity{certificate: s.out("wwan0.pem")})
			}
			for label, args := range map[string]func(s *site, out string) []string{"strict": c.strict, "lax": c.lax} {
				out := s.out(label)
				list := args(s, out)
				for i := range list {
					list[i] = strings.ReplaceAll(list[i], "LIST", revoked)
				}
				strict := label == "strict"
				var native lab.Result // it says nothing
				if strict {
					native = s.hurried(s.Command(list...), out, near)
					s.intact("natively", out)
					os.Remove(out)
				}
				r, moved := s.moveOnce(s.Midstream(list...), out, near)
				lab.Compare(t, native, r)
				s.intact(label, out)
				if len(moved) != 1 || moved[0].OK == strict || strict && !strings.Contains(moved[0].Reason, c.reason) {
					t.Errorf("%s: %+v", label, moved)
				}
			}
		})
	}
}

// Programs that do not verify go to no other certificate.
func TestUnverified(t *testing.T) {
	s := newSite(t, lab.Link{})
	s.serveAt(s.Network("wwan0"), identity{})
	near := s.slow("wlan0")
	lax := strings.Replace(python, "context = ssl.create_default_context(cafile=sys.argv[1])", "context = ssl._create_unverified_context()", 1)
	for label, args := range map[string][]string{
		"curl":   {"curl", "-sSk", "-o", s.out("curl"), s.url()},
		"wget":   {"wget", "-q", "--no-check-certificate", "-O", s.out("wget"), s.url()},
		"python": {"/usr/bin/python3", "-c", lax, "", s.url(), s.out("python")},
		"aria2": {"aria2c", "-q", "--no-conf", "--file-allocation=none", "--allow-overwrite", "--split=1", "--check-certificate=false",
			"-d", s.folder, "-o", "aria2", s.url()},
		"lftp": {"lftp", "-c", "set ssl:verify-certificate no; set xfer:clobber yes; get " + s.url() + " -o " + s.out("lftp")},
	} {
		t.Run(label, func(t *testing.T) {
			s.t = t
			r, moved := s.moveOnce(s.Midstream(args...), s.out(label), near)
			if r.Status != 0 {
				t.Errorf("%v", r)
			}
			s.intact(label, s.out(label))
			if len(moved) != 1 || moved[0].OK || !strings.Contains(moved[0].Reason, "another certificate") {
				t.Errorf("%+v", moved)
			}
		})
	}
}
