// An authority, and certificates that it signs, for servers that speak TLS.

package lab

import (
	"os"
	"os/exec"
	"strings"
)

func openssl(t T, args ...string) {
	t.Helper()
	if out, err := exec.Command("openssl", args...).CombinedOutput(); err != nil {
		t.Fatalf("lab: openssl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// p256 asks for the keys that most servers have.
var p256 = []string{"-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"}

// Authority makes one, and returns the file of its certificate: the path with ".pem". Its key lies beside it.
func Authority(t T, path string) string {
	t.Helper()
	openssl(t, append([]string{"req", "-x509", "-days", "30", "-subj", "/CN=lab", "-keyout", path + ".key", "-out", path + ".pem",
		"-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign"}, p256...)...)
	return path + ".pem"
}

// Certificate makes one for a name, signed by the authority in the file ca, beside which its files are put under the label.
func Certificate(t T, ca, label, name string) (certificate, key string) {
	t.Helper()
	base := strings.TrimSuffix(ca, ".pem")
	path := base + "-" + label
	openssl(t, append([]string{"req", "-new", "-subj", "/CN=" + name, "-keyout", path + ".key", "-out", path + ".csr"}, p256...)...)
	if err := os.WriteFile(path+".ext", []byte("subjectAltName=DNS:"+name+"\nsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n"), 0o644); err != nil {
		t.Fatalf("lab: %v", err)
	}
	openssl(t, "x509", "-req", "-in", path+".csr", "-CA", ca, "-CAkey", base+".key", "-CAcreateserial", "-extfile", path+".ext",
		"-days", "30", "-out", path+".pem")
	return path + ".pem", path + ".key"
}
