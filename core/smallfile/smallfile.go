// Package smallfile reads files of the kernel's and the system's that are small and there at once, such as those in /proc
// and /sys. os.ReadFile makes each known to the runtime's poller and takes it out again, which is three times as many
// system calls, and wakes the thread that waits there: it is felt in a program that has just started.
package smallfile

import (
	"os"
	"syscall"
)

// Max is how many octets of a file are read at most.
const Max = 64 << 10

// Read returns the first Max octets of the file. Its errors are those of os.ReadFile.
func Read(name string) ([]byte, error) {
	fd, err := retry(func() (int, error) { return syscall.Open(name, syscall.O_RDONLY|syscall.O_CLOEXEC, 0) })
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: name, Err: err}
	}
	defer syscall.Close(fd)
	b := make([]byte, 0, 512)
	for len(b) < Max {
		if len(b) == cap(b) {
			b = append(b, 0)[:len(b)]
		}
		n, err := retry(func() (int, error) { return syscall.Read(fd, b[len(b):min(cap(b), Max)]) })
		if err != nil {
			return b, &os.PathError{Op: "read", Path: name, Err: err}
		}
		if n <= 0 {
			break
		}
		b = b[:len(b)+n]
	}
	return b, nil
}

func retry(call func() (int, error)) (int, error) {
	for {
		n, err := call()
		if err != syscall.EINTR {
			return n, err
		}
	}
}
