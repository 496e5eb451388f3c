// How the processes watch a store: a process that closes an inotify descriptor waits 12 ms on average, and up to 30, until
// the kernel has done with it (fsnotify_wait_marks_destroyed), and so would every program as it ends. Until a program has
// run for some time, which most downloads do not, it is looked at the files instead.

package manager

import (
	"context"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"midstream/core/guard"
)

const (
	lookFor   = 2 * time.Second        // how long
	lookEvery = 100 * time.Millisecond // and how often
)

// stamp tells one state of a store from another, whose files are replaced and never written to.
type stamp [3]struct {
	inode   uint64
	changed syscall.Timespec
}

func (s Store) stamp() stamp {
	var now stamp
	for i, name := range []string{useLink, storeFile, SocketName} {
		if info, err := os.Lstat(filepath.Join(s.Dir, name)); err == nil {
			status := info.Sys().(*syscall.Stat_t)
			now[i].inode, now[i].changed = status.Ino, status.Ctim
		}
	}
	return now
}

// WatchFromProcess is Watch for the processes of programs. A change in the first seconds is told of a tenth of a second
// later. If the store cannot be watched, failed is called.
func (s Store) WatchFromProcess(ctx context.Context, failed func(error)) <-chan struct{} {
	return s.watchLater(ctx, lookFor, lookEvery, failed)
}

func (s Store) watchLater(ctx context.Context, limit, every time.Duration, failed func(error)) <-chan struct{} {
	notices := make(chan struct{}, 1)
	notify := func() {
		select {
		case notices <- struct{}{}:
		default:
		}
	}
	before := s.stamp()
	guard.Go(func() {
		defer close(notices)
		tick := time.NewTicker(every)
		defer tick.Stop()
		look := func() {
			if now := s.stamp(); now != before {
				before = now
				notify()
			}
		}
		for range limit / every {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				look()
			}
		}
		tick.Stop()
		news, err := s.Watch(ctx)
		if err != nil {
			failed(err)
			return
		}
		look() // what changed before that
		for range news {
			notify()
		}
	})
	return notices
}
