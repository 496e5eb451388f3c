package transparency

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// What Midstream does not follow – servers, sessions over memory, over a UNIX socket, DTLS – it leaves as the TLS library has
// it: every function that has a hook answers the same, and does the same. So it does on a client's session as long as nothing moves.
func TestSessionsOfTLSLibrariesAreLeftAlone(t *testing.T) {
	folder := t.TempDir()
	certificate, key := filepath.Join(folder, "certificate.pem"), filepath.Join(folder, "key.pem")
	execute(t, "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", "/CN=dl.test", "-keyout", key, "-out", certificate)
	if _, err := exec.LookPath("certutil"); err == nil {
		if err := os.Mkdir(filepath.Join(folder, "db"), 0o700); err != nil {
			t.Fatal(err)
		}
		database := "sql:" + filepath.Join(folder, "db")
		execute(t, "certutil", "-N", "-d", database, "--empty-password")
		execute(t, "certutil", "-S", "-d", database, "-n", "server", "-s", "CN=dl.test", "-x", "-t", "C,,", "-k", "ec", "-q", "nistp256", "-z", key)
	}
	for name, libraries := range map[string][]string{
		"openssl": {"-l:libssl.so.3", "-l:libcrypto.so.3"},
		"gnutls":  {"-l:libgnutls.so.30"},
		"nss":     {"-l:libssl3.so"},
	} {
		if _, err := exec.Command("sh", "-c", "/sbin/ldconfig -p | grep -q 'libssl3\\.so '").Output(); name == "nss" && err != nil {
			t.Log("libssl3.so (libnss3) is not there")
			continue
		}
		for label, flags := range map[string][]string{
			"linked":    append([]string{"-Wl,--no-as-needed"}, libraries...),
			"looked up": {"-DLOOKED_UP"},
		} {
			t.Run(name+" "+label, func(t *testing.T) {
				t.Parallel()
				program := filepath.Join(t.TempDir(), "sessions")
				arguments := []string{"-Wall", "-Wextra", "-Werror", "-I", repository(t, "shim"), "-o", program,
					repository(t, "e2e", "clients", "sessions_"+name+".c")}
				execute(t, "cc", append(arguments, flags...)...)
				want := run(t, native(), program, certificate, key)
				if want.status != "" && want.status != "exit status 0" || want.stderr != "" {
					t.Fatalf("%s: %s", want.status, want.stderr)
				}
				agree(t, want, run(t, preloaded(t), program, certificate, key), "under Midstream")
			})
		}
	}
}

func execute(t *testing.T, command string, arguments ...string) {
	t.Helper()
	if output, err := exec.Command(command, arguments...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", command, err, output)
	}
}
