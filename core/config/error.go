// What is said when a configuration cannot be used.
package config

import "fmt"

// Error names what is wrong with a configuration and what to do about it. It never quotes the value
// of a proxy, which may hold a password.
type Error struct {
	File    string // the file as it was asked for
	Line    int    // from 1; 0 where the file as a whole is meant
	Key     string // dotted, as TOML writes it; "" where no key is meant
	Problem string // what is wrong
	Remedy  string // what to do
}

// Error gives all of it in one line: file:line: key: problem; remedy.
func (e *Error) Error() string {
	s := e.File
	if e.Line > 0 {
		s = fmt.Sprintf("%s:%d", s, e.Line)
	}
	if e.Key != "" {
		s += ": " + e.Key
	}
	s += ": " + e.Problem
	if e.Remedy != "" {
		s += "; " + e.Remedy
	}
	return s
}
