// Octets from one connection to another, inside the kernel where that is possible.
package relay

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
)

// copyPiece is how much is under way inside one copy at most, in octets.
const copyPiece = 64 << 10

const (
	spliceMove     = 0x1 // SPLICE_F_MOVE, SPLICE_F_NONBLOCK: splice(2)
	spliceNonblock = 0x2
)

// Copy moves n octets from src to dst, or all up to the end of src if n is negative. Between two sockets it uses
// splice(2), so the octets are not copied through this process. It returns how many octets arrived at dst; with n it
// is io.ErrUnexpectedEOF if src ends before. An error of reading src is a *SourceError, any other one is dst's.
// Octets taken from src but refused by dst are lost.
func Copy(dst, src net.Conn, n int64) (int64, error) {
	if from, to := socket(src), socket(dst); from != nil && to != nil {
		var pipe [2]int
		if err := syscall.Pipe2(pipe[:], syscall.O_CLOEXEC|syscall.O_NONBLOCK); err == nil {
			defer syscall.Close(pipe[0])
			defer syscall.Close(pipe[1])
			return spliced(to, from, pipe, n)
		}
	}
	return buffered(dst, src, n)
}

// SourceError says that reading failed, not writing.
type SourceError struct{ Err error }

func (e *SourceError) Error() string { return e.Err.Error() }
func (e *SourceError) Unwrap() error { return e.Err }

func socket(c net.Conn) syscall.RawConn {
	if s, ok := c.(syscall.Conn); ok {
		if raw, err := s.SyscallConn(); err == nil {
			return raw
		}
	}
	return nil
}

func spliced(dst, src syscall.RawConn, pipe [2]int, n int64) (done int64, err error) {
	for n < 0 || done < n {
		want := min(roomOf(dst), copyPiece) // what stands in the pipe is held as well
		if n >= 0 && n-done < int64(want) {
			want = int(n - done)
		}
		got, err := spliceIn(src, pipe[1], want)
		if err != nil {
			return done, &SourceError{err}
		}
		if got == 0 {
			if n >= 0 {
				return done, &SourceError{io.ErrUnexpectedEOF}
			}
			return done, nil
		}
		out, err := spliceOut(dst, pipe[0], got)
		done += int64(out)
		if err != nil {
			return done, err
		}
	}
	return done, nil
}

func spliceIn(src syscall.RawConn, pipe, want int) (got int, err error) {
	var failed error
	err = src.Read(func(fd uintptr) bool {
		got, failed = splice(int(fd), pipe, want)
		return failed != syscall.EAGAIN
	})
	if err == nil && failed != nil {
		err = os.NewSyscallError("splice", failed)
	}
	return got, err
}

func spliceOut(dst syscall.RawConn, pipe, count int) (done int, err error) {
	var failed error
	err = dst.Write(func(fd uintptr) bool {
		for done < count {
			var n int
			if n, failed = splice(pipe, int(fd), count-done); failed != nil {
				return failed != syscall.EAGAIN
			}
			done += n
		}
		return true
	})
	if err == nil && failed != nil {
		err = os.NewSyscallError("splice", failed)
	}
	return done, err
}

func splice(in, out, count int) (int, error) {
	for {
		n, err := syscall.Splice(in, nil, out, nil, count, spliceMove|spliceNonblock)
		if err != syscall.EINTR {
			return max(int(n), 0), err
		}
	}
}

func buffered(dst, src net.Conn, n int64) (done int64, err error) {
	buffer := make([]byte, 32<<10)
	for n < 0 || done < n {
		part := buffer
		if n >= 0 && n-done < int64(len(part)) {
			part = part[:n-done]
		}
		got, err := src.Read(part)
		if got > 0 {
			out, failed := dst.Write(part[:got])
			done += int64(out)
			if failed != nil {
				return done, failed
			}
		}
		switch {
		case err == nil:
		case errors.Is(err, io.EOF) && n < 0:
			return done, nil
		case errors.Is(err, io.EOF) && done == n:
		case errors.Is(err, io.EOF):
			return done, &SourceError{io.ErrUnexpectedEOF}
		default:
			return done, &SourceError{err}
		}
	}
	return done, nil
}
