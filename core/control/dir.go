// Where the control sockets are.
package control

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// EnvRuntimeDir names the environment variable that points to the folder of the control sockets.
const EnvRuntimeDir = "MIDSTREAM_RUNTIME_DIR"

// RuntimeDir returns the folder of the control sockets: $MIDSTREAM_RUNTIME_DIR, else midstream under
// $XDG_RUNTIME_DIR or /run/user/<uid>, whichever first is a folder of this user's, else
// /tmp/midstream-<uid>. The folder itself need not exist.
func RuntimeDir() string {
	if dir := os.Getenv(EnvRuntimeDir); dir != "" {
		return dir
	}
	uid := strconv.Itoa(os.Geteuid())
	for _, base := range []string{os.Getenv("XDG_RUNTIME_DIR"), "/run/user/" + uid} {
		// After su or sudo the variable may still name the other user's, which is not for us.
		if info, err := os.Stat(base); err == nil && info.IsDir() && owner(info) == os.Geteuid() {
			return filepath.Join(base, "midstream")
		}
	}
	return "/tmp/midstream-" + uid
}

// UserDirs are the runtime folders that users have where none is named, by the folder; the value is the user that it has to belong
// to (CheckRuntimeDirOf).
func UserDirs() map[string]int {
	dirs := map[string]int{}
	for _, form := range []struct{ before, after string }{{"/run/user/", "/midstream"}, {"/tmp/midstream-", ""}} {
		found, _ := filepath.Glob(form.before + "*" + form.after)
		for _, dir := range found {
			if uid, err := strconv.Atoi(strings.TrimSuffix(strings.TrimPrefix(dir, form.before), form.after)); err == nil {
				dirs[dir] = uid
			}
		}
	}
	return dirs
}

// EnsureRuntimeDir returns RuntimeDir, made with mode 0700 if it did not exist, and checked as
// CheckRuntimeDir does.
func EnsureRuntimeDir() (string, error) {
	dir, err := filepath.Abs(RuntimeDir())
	if err != nil {
		return "", fmt.Errorf("find the runtime folder %s: %w", RuntimeDir(), err)
	}
	err = os.Mkdir(dir, 0o700)
	if errors.Is(err, fs.ErrNotExist) {
		err = os.MkdirAll(dir, 0o700)
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return "", fmt.Errorf("make the runtime folder: %w; set %s to a folder of your own", err, EnvRuntimeDir)
	}
	return dir, CheckRuntimeDir(dir, false)
}

// CheckRuntimeDir verifies that dir is a folder, not a link to one, that belongs to this user and
// that nobody else may enter. With others set, root may use another user's. An error that wraps
// fs.ErrNotExist means that there is none.
func CheckRuntimeDir(dir string, others bool) error {
	uid := os.Geteuid()
	if info, err := os.Lstat(dir); err == nil && others && uid == 0 {
		uid = owner(info)
	}
	return CheckRuntimeDirOf(dir, uid)
}

// CheckRuntimeDirOf does so for a user.
func CheckRuntimeDirOf(dir string, uid int) error {
	info, err := os.Lstat(dir)
	if err != nil {
		return fmt.Errorf("look at the runtime folder: %w", err)
	}
	problem := ""
	switch {
	case info.Mode()&fs.ModeSymlink != 0:
		problem = "is a symbolic link"
	case !info.IsDir():
		problem = "is not a folder"
	case owner(info) != uid:
		problem = fmt.Sprintf("belongs to user %d, not to user %d", owner(info), uid)
	case info.Mode().Perm()&0o077 != 0:
		return fmt.Errorf("the runtime folder %s is open to other users; run: chmod 700 %[1]s", dir)
	default:
		return nil
	}
	return fmt.Errorf("the runtime folder %s %s; remove it, or set %s to a folder of your own", dir, problem, EnvRuntimeDir)
}

func owner(info fs.FileInfo) int {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(s.Uid)
	}
	return -1
}

// SocketPath returns the place of a process's control socket.
func SocketPath(dir string, pid int) string {
	return filepath.Join(dir, strconv.Itoa(pid)+".sock")
}
