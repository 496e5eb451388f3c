package unfollowed

import (
	"net/netip"
	"os"
	"path/filepath"
	"testing"
)

func TestConnectionsOfTheKernelsTables(t *testing.T) {
	table := filepath.Join(t.TempDir(), "tcp")
	text := `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0200000A:C350 5001000A:0050 01 00000000:00000000 00:00000000 00000000     0        0 7 1 0000000000000000 20 4 30 10 -1
   1: 00000000:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 8 1 0000000000000000 100 0 0 10 0
   2: 0100007F:C350 0100007F:0050 01 00000000:00000000 00:00000000 00000000     0        0 9 1 0000000000000000 20 4 30 10 -1
   3: 000077FD000000000000000002000000:C350 000077FD000000000000000050000000:01BB 08 00000000:00000000 00:00000000 00000000     0        0 10 1 0 20 4 30 10 -1
   4: 02:C350 50:01BB 01 00000000:00000000 00:00000000 00000000     0        0 11 1
   5: cut off`
	if err := os.WriteFile(table, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	found := map[string]connection{}
	established(table, found)
	if !(len(found) == 2 && found["7"] == connection{netip.MustParseAddrPort("10.0.0.2:50000"), netip.MustParseAddrPort("10.0.1.80:80")}) {
		t.Errorf("%v", found)
	}
	if found["10"].remote.Port() != 443 || !found["10"].remote.Addr().Is6() {
		t.Errorf("%v", found)
	}
}

func TestAFolderIsClosedToOthersThanItsOwner(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("nothing is closed to root")
	}
	folder := filepath.Join(t.TempDir(), "closed")
	file := filepath.Join(folder, "file")
	os.Mkdir(folder, 0o755)
	os.WriteFile(file, nil, 0o644)
	for mode, want := range map[os.FileMode]string{0o700: "", 0o600: folder, 0o755: ""} {
		os.Chmod(folder, mode)
		if got := closedTo(os.Getpid(), file); got != want {
			t.Errorf("%v: %q", mode, got)
		}
	}
}
