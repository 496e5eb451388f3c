// The same over TLS: scripted servers show a certificate of an authority made for the test.

package matrix

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// transport is how a test's programs reach their servers.
type transport struct {
	name   string
	secure bool
	host   string
}

var (
	plainly = transport{"http", false, host}
	overTLS = transport{"https", true, host}
)

// at is the same for another host.
func (t transport) at(host string) transport {
	t.host = host
	return t
}

func (t transport) to(target string) string { return t.name + "://" + t.host + target }

func (t transport) url() string { return t.to("/file") }

// curl is the command that fetches the file into OUT.
func (t transport) curl(args ...string) []string {
	args = append([]string{"curl", "-sS", "-o", "OUT"}, args...)
	if t.secure {
		args = append(args, "--cacert", authority().file)
	}
	return append(args, t.url())
}

// wget is the same for wget.
func (t transport) wget(args ...string) []string {
	args = append([]string{"wget", "-q", "-O", "OUT"}, args...)
	if t.secure {
		args = append(args, "--ca-certificate="+authority().file)
	}
	return append(args, t.url())
}

// placed writes out for OUT.
func placed(args []string, out string) []string {
	for i, a := range args {
		if a == "OUT" {
			args[i] = out
		}
	}
	return args
}

// talk are the arguments of talkTo for a server at the address.
func (t transport) talk(address string) []string {
	if t.secure {
		return []string{address, "443", host, authority().file}
	}
	return []string{address, "80", host, ""}
}

// both runs a test over each transport.
func both(t *testing.T, f func(t *testing.T, over transport)) {
	for _, over := range []transport{plainly, overTLS} {
		t.Run(over.name, func(t *testing.T) { f(t, over) })
	}
}

// identity is what the servers show.
type identity struct {
	file   string // the authority's certificate
	config *tls.Config
}

// authority makes one for the process; each server has the same key, and resumes no other's sessions.
var authority = sync.OnceValue(func() identity {
	must := func(err error) {
		if err != nil {
			panic(err)
		}
	}
	key := func() *ecdsa.PrivateKey {
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		must(err)
		return k
	}
	issuer := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "matrix"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	issuerKey, serverKey := key(), key()
	signed, err := x509.CreateCertificate(rand.Reader, issuer, issuer, issuerKey.Public(), issuerKey)
	must(err)
	issuer, err = x509.ParseCertificate(signed) // with its key identifier, which Python 3.13 demands in what it has issued
	must(err)
	server := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: host}, DNSNames: append(seatHosts(), host),
		NotBefore: issuer.NotBefore, NotAfter: issuer.NotAfter,
	}
	leaf, err := x509.CreateCertificate(rand.Reader, server, issuer, serverKey.Public(), issuerKey)
	must(err)
	folder, err := os.MkdirTemp("", "matrix")
	must(err)
	file := filepath.Join(folder, "ca.pem")
	must(os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: signed}), 0o644))
	return identity{file, &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{leaf}, PrivateKey: serverKey}}, NextProtos: []string{"http/1.1"},
	}}
})
