package smallfile

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

func TestReadsAsReadFile(t *testing.T) {
	for _, length := range []int{0, 1, 511, 512, 513, 5000, Max - 1, Max} {
		name := filepath.Join(t.TempDir(), "file")
		want := bytes.Repeat([]byte("0123456789abcde\n"), length/16+1)[:length]
		if err := os.WriteFile(name, want, 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := Read(name); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d octets: got %d, %v", length, len(got), err)
		}
	}
	want, err := os.ReadFile("/proc/self/cmdline")
	if got, err2 := Read("/proc/self/cmdline"); err != nil || err2 != nil || !bytes.Equal(got, want) {
		t.Errorf("/proc/self/cmdline: %q, %v; want %q, %v", got, err2, want, err)
	}
}

func TestReadsNoMoreThanMax(t *testing.T) {
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, make([]byte, 3*Max), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := Read(name); err != nil || len(got) != Max {
		t.Errorf("got %d octets, %v", len(got), err)
	}
}

func TestSaysWhatIsWrong(t *testing.T) {
	if _, err := Read(filepath.Join(t.TempDir(), "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	if _, err := Read(t.TempDir()); err == nil {
		t.Error("a folder was read")
	}
}
