// Content for the servers: files that come out the same wherever they are made.

package lab

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"
)

// Modified is the modification time of all content, so that two servers give it the same entity tag.
var Modified = time.Date(2024, time.March, 1, 12, 0, 0, 0, time.UTC)

// Content writes dir/name with size octets that follow from seed, makes dir if need be, and returns the SHA-256 in hexadecimal.
func Content(t T, dir, name string, size int64, seed uint64) string {
	t.Helper()
	path := filepath.Join(dir, name)
	sum := sha256.New()
	err := os.MkdirAll(filepath.Dir(path), 0o755)
	if err != nil {
		t.Fatalf("lab: content: %v", err)
	}
	f, err := os.Create(path)
	if err != nil {
		t.Fatalf("lab: content: %v", err)
	}
	var key [32]byte
	for i := range 8 {
		key[i] = byte(seed >> (8 * i))
	}
	w := bufio.NewWriterSize(f, 1<<20)
	if _, err = io.CopyN(io.MultiWriter(w, sum), rand.NewChaCha8(key), size); err == nil {
		err = w.Flush()
	}
	if closing := f.Close(); err == nil {
		err = closing
	}
	if err == nil {
		err = os.Chtimes(path, Modified, Modified)
	}
	if err != nil {
		t.Fatalf("lab: content: write %s: %v", path, err)
	}
	return hex.EncodeToString(sum.Sum(nil))
}

// Sum is the SHA-256 of a file in hexadecimal, or the error's text if it cannot be read.
func Sum(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return err.Error()
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return err.Error()
	}
	return hex.EncodeToString(sum.Sum(nil))
}
