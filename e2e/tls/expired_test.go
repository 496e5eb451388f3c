// Certificates whose time is over, which OpenSSL 3.4 and later refuse to issue.

package tls

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"os"
	"time"
)

// expire signs the certificate anew, as one that ended so many days ago.
func (a authority) expire(id identity, days int) {
	a.t.Helper()
	issuer, err := tls.LoadX509KeyPair(a.certificate, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	issued, err := tls.LoadX509KeyPair(id.certificate, id.key)
	if err != nil {
		a.t.Fatal(err)
	}
	issued.Leaf.NotAfter = time.Now().AddDate(0, 0, days)
	issued.Leaf.NotBefore = issued.Leaf.NotAfter.AddDate(0, 0, -30)
	der, err := x509.CreateCertificate(rand.Reader, issued.Leaf, issuer.Leaf, issued.Leaf.PublicKey, issuer.PrivateKey)
	if err == nil {
		err = os.WriteFile(id.certificate, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644)
	}
	if err != nil {
		a.t.Fatal(err)
	}
}
