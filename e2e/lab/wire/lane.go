// One direction of a cable: a thread that receives and dates frames, and a thread that sends them when they are due.

package wire

import (
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

// maxFrame is an Ethernet frame with a VLAN tag. Offloads are off on the interfaces, so nothing larger comes.
const maxFrame = 1518

// laneFrames bounds the frames under way in one direction: 600 Mbit/s for 300 ms.
const laneFrames = 16384

type frame struct {
	due    time.Duration
	length int
	octets [maxFrame]byte
}

type lane struct {
	from, to *port
	meter    *meter
	cut      atomic.Bool
	due      chan *frame
	pool     sync.Pool
}

func newLane(from, to *port, s Shape) *lane {
	return &lane{
		from: from, to: to, meter: newMeter(s),
		due:  make(chan *frame, laneFrames),
		pool: sync.Pool{New: func() any { return new(frame) }},
	}
}

func (l *lane) receive() {
	runtime.LockOSThread()
	for {
		f := l.pool.Get().(*frame)
		n, err := l.from.read(f.octets[:])
		if err != nil {
			return
		}
		if n > maxFrame || l.cut.Load() {
			l.pool.Put(f)
			continue
		}
		due, ok := l.meter.admit(monotonic(), n)
		if !ok {
			l.pool.Put(f)
			continue
		}
		f.due, f.length = due, n
		select {
		case l.due <- f:
		default:
			l.pool.Put(f)
		}
	}
}

func (l *lane) send() {
	// A thread of its own that sleeps in the kernel: the runtime's timers are rounded up to a
	// millisecond when everything else is idle, which is a tenth of the delay asked for.
	runtime.LockOSThread()
	syscall.RawSyscall(syscall.SYS_PRCTL, prSetTimerslack, 1, 0)
	for f := range l.due {
		for wait := f.due - monotonic(); wait > 0; wait = f.due - monotonic() {
			ts := syscall.NsecToTimespec(int64(wait))
			syscall.RawSyscall(syscall.SYS_NANOSLEEP, uintptr(unsafe.Pointer(&ts)), 0, 0)
		}
		if !l.cut.Load() {
			l.to.write(f.octets[:f.length])
		}
		l.pool.Put(f)
	}
}

const prSetTimerslack = 29 // PR_SET_TIMERSLACK, prctl(2)

var started = time.Now()

// monotonic is the time since the process began, which no change of the clock disturbs.
func monotonic() time.Duration { return time.Since(started) }
