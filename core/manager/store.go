// Where directives are kept, so that they outlive every process: in the runtime folder, where the daemon, the
// processes and midstreamctl all look.
//
//	use             a symbolic link whose text is the interface to use; also read by the shim before connect()
//	order           likewise the daemon's order of the interfaces, best first, a colon before those that cost more; read by the shim where connect() fails, which
//	                takes it for nothing where nobody listens on midstreamd.sock
//	manager.json    hints and conditional triggers
//	manager.lock    locked (flock(2)) while one of them is changed
package manager

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"midstream/core/config"
	"midstream/core/guard"
)

// The names in the runtime folder.
const (
	useLink    = "use"
	orderLink  = "order"
	storeFile  = "manager.json"
	lockFile   = "manager.lock"
	SocketName = "midstreamd.sock"
)

// HostDir is the folder of what holds for the whole host: a midstreamd of root's keeps it.
const HostDir = "/run/midstream"

// maxStore bounds what is read of a store.
const maxStore = 1 << 20

// Store is one folder.
type Store struct{ Dir string }

// Load reads the directives; what is not there is empty.
func (s Store) Load() (Directives, error) {
	d := Directives{Hints: map[string][]Hint{}}
	f, err := os.Open(filepath.Join(s.Dir, storeFile))
	if err == nil {
		var b []byte
		b, err = io.ReadAll(io.LimitReader(f, maxStore))
		f.Close()
		if err == nil {
			err = json.Unmarshal(b, &d)
		}
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if err != nil {
		return Directives{}, fmt.Errorf("read the hints and triggers in %s: %w", filepath.Join(s.Dir, storeFile), err)
	}
	d.Use = ""
	if name, err := os.Readlink(filepath.Join(s.Dir, useLink)); err == nil && config.ValidInterfaceName(name) {
		d.Use = name
	}
	return d.check().Expire(time.Now()), nil
}

// check drops what nobody could have left by midstreamctl.
func (d Directives) check() Directives {
	out := Directives{Use: d.Use, Hints: map[string][]Hint{}}
	for name, hints := range d.Hints {
		for _, h := range hints {
			if len(out.Hints) < MaxHinted && config.ValidInterfaceName(name) && CheckHint(h.Key, h.Value) == nil {
				out.Hints[name] = append(out.Hints[name], h)
			}
		}
	}
	for _, w := range d.Whens {
		if len(out.Whens) < MaxWhens && CheckWhen(w.Condition, w.Use) == nil {
			out.Whens = append(out.Whens, w)
		}
	}
	return out
}

// Update changes the directives; change gets the present ones and may refuse. Updates by several processes
// follow one another.
func (s Store) Update(change func(*Directives) error) error {
	fail := func(err error) error { return fmt.Errorf("change the directives in %s: %w", s.Dir, err) }
	lock, err := os.OpenFile(filepath.Join(s.Dir, lockFile), os.O_CREATE|os.O_RDWR|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return fail(err)
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return fail(err)
	}
	before, err := s.Load()
	if err != nil {
		before = Directives{Hints: map[string][]Hint{}} // what cannot be read is replaced
	}
	after := before
	after.Hints = map[string][]Hint{}
	for name, hints := range before.Hints {
		after.Hints[name] = hints
	}
	if err := change(&after); err != nil {
		return err
	}
	if after.Use != before.Use {
		if err := s.use(after.Use); err != nil {
			return fail(err)
		}
	}
	use := after.Use
	after.Use = ""
	text, err := json.Marshal(after)
	after.Use = use
	if err != nil {
		return fail(err)
	}
	temporary := filepath.Join(s.Dir, fmt.Sprintf(".%s.%d", storeFile, os.Getpid()))
	if err := os.WriteFile(temporary, text, 0o644); err != nil {
		return fail(err)
	}
	if err := os.Rename(temporary, filepath.Join(s.Dir, storeFile)); err != nil {
		os.Remove(temporary)
		return fail(err)
	}
	return nil
}

// Fire notes what a conditional trigger orders that has fired, if it is this store's.
func (s Store) Fire(w When) error {
	d, err := s.Load()
	if err != nil || !slices.ContainsFunc(d.Whens, func(x When) bool { return x.ID == w.ID }) {
		return err
	}
	return s.Update(func(d *Directives) error {
		if w.compiled != nil && !w.compiled.OfSession() {
			d.Use = w.target()
		}
		if w.Once {
			d.Drop(w.ID)
		}
		return nil
	})
}

func (s Store) use(name string) error { return s.link(useLink, name) }

// maxOrder is how many interfaces the order names.
const maxOrder = 8

// Order notes the interfaces for connections that are to be made, as Engine.Choices has them; none where nobody decides any more. One
// that costs more has a colon before its name.
func (s Store) Order(all []Choice) error {
	names := make([]string, min(len(all), maxOrder))
	for n := range names {
		if names[n] = all[n].Name; all[n].Costs {
			names[n] = ":" + names[n]
		}
	}
	return s.link(orderLink, strings.Join(names, " "))
}

// link makes a symbolic link with that text, or removes it if there is none.
func (s Store) link(name, text string) error {
	link := filepath.Join(s.Dir, name)
	if text == "" {
		if err := os.Remove(link); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}
	if now, err := os.Readlink(link); err == nil && now == text {
		return nil
	}
	temporary := filepath.Join(s.Dir, fmt.Sprintf(".%s.%d", name, os.Getpid()))
	os.Remove(temporary)
	if err := os.Symlink(text, temporary); err != nil {
		return err
	}
	return os.Rename(temporary, link)
}

// Watch returns a channel that holds a notice whenever the directives may have changed, or a daemon has come, since
// the last was taken: inotify(7). It is closed when ctx ends or watching fails.
func (s Store) Watch(ctx context.Context) (<-chan struct{}, error) {
	fd, err := syscall.InotifyInit1(syscall.IN_CLOEXEC | syscall.IN_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("watch %s: inotify_init1: %w", s.Dir, err)
	}
	if _, err := syscall.InotifyAddWatch(fd, s.Dir, syscall.IN_MOVED_TO|syscall.IN_DELETE|syscall.IN_CREATE); err != nil {
		syscall.Close(fd)
		return nil, fmt.Errorf("watch %s: inotify_add_watch: %w", s.Dir, err)
	}
	file := os.NewFile(uintptr(fd), "inotify")
	notices := make(chan struct{}, 1)
	stop := context.AfterFunc(ctx, func() { file.Close() })
	go func() {
		defer guard.Recover()
		defer close(notices)
		defer file.Close()
		defer stop()
		buffer := make([]byte, 4096)
		for {
			n, err := file.Read(buffer)
			if err != nil {
				return
			}
			if !concerns(buffer[:n]) {
				continue
			}
			select {
			case notices <- struct{}{}:
			default:
			}
		}
	}()
	return notices, nil
}

// concerns reports whether one of the events (struct inotify_event) is about a name that matters here.
func concerns(events []byte) bool {
	for len(events) >= syscall.SizeofInotifyEvent {
		length := int(binary.NativeEndian.Uint32(events[12:]))
		end := syscall.SizeofInotifyEvent + length
		if length < 0 || end > len(events) {
			return true
		}
		switch strings.TrimRight(string(events[syscall.SizeofInotifyEvent:end]), "\x00") {
		case useLink, storeFile, SocketName, "": // "": the queue overflowed
			return true
		}
		events = events[end:]
	}
	return false
}

// Combine returns the directives of several stores; those of a later one count more.
func Combine(all ...Directives) Directives {
	out := Directives{Hints: map[string][]Hint{}}
	for _, d := range all {
		if d.Use != "" {
			out.Use = d.Use
		}
		for name, hints := range d.Hints {
			for _, h := range hints {
				out.Tell(name, h)
			}
		}
		out.Whens = append(out.Whens, d.Whens...)
	}
	return out
}
