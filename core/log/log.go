// Package log opens Midstream's log: a file, by zerolog. A program under Midstream never gets a word
// of it on its standard output or error.
package log

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/rs/zerolog"

	"midstream/core/control"
	"midstream/core/display"
)

// The environment variables that say what is logged and where: Open's two parameters.
const (
	EnvLevel = "MIDSTREAM_LOG"
	EnvFile  = "MIDSTREAM_LOG_FILE"
)

var levels = map[string]zerolog.Level{
	"":      zerolog.Disabled,
	"off":   zerolog.Disabled,
	"trace": zerolog.TraceLevel,
	"debug": zerolog.DebugLevel,
	"info":  zerolog.InfoLevel,
	"warn":  zerolog.WarnLevel,
	"error": zerolog.ErrorLevel,
}

func init() {
	// zerolog's own answer to a log that cannot be written, a full disk perhaps, is a line on
	// standard error.
	zerolog.ErrorHandler = func(error) {}
	zerolog.TimeFieldFormat = "2006-01-02T15:04:05.000Z07:00"
	zerolog.TimestampFunc = func() time.Time { return time.Now().UTC() }
}

// Open returns a logger of level (off, trace, debug, info, warn or error; "" means off) that appends
// JSON lines to file, by default <runtime folder>/<pid>.log, each with the time and the process id.
// A new file has mode 0600. At level off nothing is opened. After an error, too, the logger may be
// used: it writes nothing. The Closer is never nil.
func Open(level, file string) (zerolog.Logger, io.Closer, error) {
	l, ok := levels[level]
	if !ok {
		return zerolog.Nop(), nothing{}, fmt.Errorf("open the log: %s is %q; use off, trace, debug, info, warn or error", EnvLevel, level)
	}
	if l == zerolog.Disabled {
		return zerolog.Nop(), nothing{}, nil
	}
	// The default stands in a folder of this user's alone, so that a link there is not meant.
	flags := 0
	if file == "" {
		dir, err := control.EnsureRuntimeDir()
		if err != nil {
			return zerolog.Nop(), nothing{}, fmt.Errorf("open the log: %w", err)
		}
		file = filepath.Join(dir, strconv.Itoa(os.Getpid())+".log")
		flags = syscall.O_NOFOLLOW
	}
	// Without O_NONBLOCK a FIFO that nobody reads would hold up the program. os adds O_CLOEXEC.
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_APPEND|os.O_CREATE|syscall.O_NONBLOCK|flags, 0o600)
	if err != nil {
		return zerolog.Nop(), nothing{}, fmt.Errorf("open the log: %w; set %s to a file that can be written", err, EnvFile)
	}
	return zerolog.New(shown{f}).Level(l).With().Timestamp().Int("pid", os.Getpid()).Logger(), f, nil
}

// shown writes the log's lines so that a terminal obeys nothing in them: they hold what servers and programs say.
type shown struct{ file *os.File }

func (s shown) Write(line []byte) (int, error) {
	if _, err := s.file.Write(display.JSON(line)); err != nil {
		return 0, err
	}
	return len(line), nil
}

type nothing struct{}

func (nothing) Close() error { return nil }
