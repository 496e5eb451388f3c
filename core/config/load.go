// Reads a configuration file: TOML by the library, keys, types and values checked here.
package config

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/BurntSushi/toml"
)

// Bounds on a file. They are far beyond any sensible configuration and keep a wrong file (an image,
// a log) from costing a program anything.
const (
	maxFile     = 64 << 10
	maxDepth    = 16
	maxKeyParts = 8
)

// Load reads and checks the file at path; "" gives the built-in defaults. Any error is an *Error,
// the one that stands first in the file.
func Load(path string) (*Config, error) {
	if path == "" {
		return Default(), nil
	}
	text, err := read(path)
	if err != nil {
		return nil, err
	}
	return parse(path, text)
}

func read(file string) (string, error) {
	fail := func(problem, remedy string) (string, error) {
		return "", &Error{File: file, Problem: problem, Remedy: remedy}
	}
	info, err := os.Stat(file)
	if err == nil && !info.Mode().IsRegular() {
		// A FIFO would block a program's start.
		return fail("this is not a regular file", "name a TOML file")
	}
	var f *os.File
	if err == nil {
		f, err = os.Open(file)
	}
	var text []byte
	if err == nil {
		defer f.Close()
		text, err = io.ReadAll(io.LimitReader(f, maxFile+1))
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fail("there is no such file", "create it, or name another by --config or "+EnvFile)
	case err != nil:
		var inner *fs.PathError
		if errors.As(err, &inner) {
			err = inner.Err
		}
		return fail("it cannot be read: "+err.Error(), "make it readable, or name another by --config or "+EnvFile)
	case len(text) > maxFile:
		return fail("it is longer than 64 KiB", "name a Midstream configuration")
	}
	return string(text), nil
}

func parse(file, text string) (*Config, error) {
	found := locate(text)
	if found.depth > maxDepth || found.parts > maxKeyParts {
		return nil, &Error{File: file, Problem: "tables or arrays are nested too deeply", Remedy: "name a Midstream configuration"}
	}
	var document map[string]any
	if _, err := toml.Decode(text, &document); err != nil {
		return nil, syntaxError(file, text, err)
	}
	d := decoder{file: file, lines: found}
	c := d.config(document)
	if d.first != nil {
		return nil, d.first
	}
	c.File = file
	return c, nil
}

func syntaxError(file, text string, err error) *Error {
	e := &Error{File: file, Problem: "this is not valid TOML", Remedy: "correct the line; texts stand in double quotes"}
	var at toml.ParseError
	if !errors.As(err, &at) {
		return e
	}
	e.Line, e.Key = at.Position.Line, at.LastKey
	// The library's words may quote what it found: on the line of a proxy, perhaps a password.
	secret := strings.Contains(at.LastKey, "proxy")
	if all := strings.Split(text, "\n"); e.Line >= 1 && e.Line <= len(all) {
		secret = secret || strings.Contains(all[e.Line-1], "@")
	}
	if secret {
		e.Key = ""
	} else {
		e.Problem += ": " + at.Message
	}
	return e
}
