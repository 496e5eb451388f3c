package relay

import (
	"io"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestAPairCarriesOctetsBothWays(t *testing.T) {
	for _, domain := range []int{syscall.AF_INET, syscall.AF_INET6} {
		begun := time.Now()
		p, err := NewPair(domain)
		if err != nil {
			t.Fatal(err)
		}
		t.Log(time.Since(begun))
		defer p.Close()
		for _, way := range []struct {
			w io.Writer
			r io.Reader
		}{{p.Core, p.Program}, {p.Program, p.Core}} {
			b := make([]byte, 5)
			if _, err := way.w.Write([]byte("octet")); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(way.r, b); err != nil || string(b) != "octet" {
				t.Errorf("got %q, %v", b, err)
			}
		}
		t.Log(time.Since(begun))
	}
}

func TestAPairIsNotPaced(t *testing.T) {
	for _, domain := range []int{syscall.AF_INET, syscall.AF_INET6} {
		p, err := NewPair(domain)
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		socket(p.Core).Control(func(fd uintptr) {
			if name, err := unix.GetsockoptString(int(fd), unix.IPPROTO_TCP, unix.TCP_CONGESTION); strings.TrimRight(name, "\x00") != "reno" {
				t.Errorf("congestion control %q, %v", name, err)
			}
		})
	}
}
