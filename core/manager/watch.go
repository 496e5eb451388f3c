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
	firstLook = 100 * time.Millisecond
	looks     = 4 // each after twice as long as the one before: 1.5 s
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

// WatchFromProcess is Watch for the processes of programs. A change in the first seconds may be told of as much later as the
// process has run until then, 0.8 s at most: a look wakes threads beside the program, which a very fast download feels.
// If the store cannot be watched, failed is called.
func (s Store) WatchFromProcess(ctx context.Context, failed func(error)) <-chan struct{} {
	return s.watchLater(ctx, firstLook, looks, failed)
}

func (s Store) watchLater(ctx context.Context, first time.Duration, looks int, failed func(error)) <-chan struct{} {
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
		pause := time.NewTimer(first)
		defer pause.Stop()
		look := func() {
			if now := s.stamp(); now != before {
				before = now
				notify()
			}
		}
		for i := range looks {
			select {
			case <-ctx.Done():
				return
			case <-pause.C:
				look()
				pause.Reset(first << (i + 1))
			}
		}
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
