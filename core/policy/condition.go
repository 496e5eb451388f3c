// Package policy is the language of conditions, such as
//
//	wlan0.congestion > 0.8 || wlan0.rtt > 300
//	wwan0.metered && session.length > 500_000_000
//
// It is a part of the language of github.com/expr-lang/expr, which compiles and evaluates it: || && ! == != < <= > >=
// + - * /, the operators contains, startsWith, endsWith and matches (RE2) between texts, parentheses, numbers, texts in
// quotes, true and false, and the variables of variables.go. Names and types are checked when a condition is compiled.
package policy

import (
	"errors"
	"fmt"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/vm"
)

// MaxLength is how many octets a condition may have.
const MaxLength = 2048

// maxNodes bounds the operators, names and literals of a condition.
const maxNodes = 512

// Condition is a compiled one. It is constant, and may be evaluated by many goroutines.
type Condition struct {
	text    string
	session bool
	names   []string
	program *vm.Program
}

// String returns what the condition was compiled from.
func (c *Condition) String() string { return c.text }

// MarshalText writes it as String does.
func (c *Condition) MarshalText() ([]byte, error) { return []byte(c.text), nil }

// OfSession reports whether the condition speaks of a session, so that it may hold for one and not for another.
func (c *Condition) OfSession() bool { return c.session }

// Interfaces returns the names of the interfaces that the condition speaks of.
func (c *Condition) Interfaces() []string { return c.names }

// environment is what the library looks names up in.
type environment struct {
	Session    *Session              `expr:"session"`
	Current    *Interface            `expr:"current"`
	Interfaces map[string]*Interface `expr:"interfaces"`
}

// Holds evaluates the condition.
func (c *Condition) Holds(v *Variables) bool {
	env := environment{&noSession, &noInterface, make(map[string]*Interface, len(c.names))}
	for _, name := range c.names {
		env.Interfaces[name] = v.named(name)
	}
	if v.Session != nil {
		env.Session, env.Current = v.Session, v.named(v.Session.Interface)
	}
	result, err := expr.Run(c.program, env)
	holds, _ := result.(bool)
	return err == nil && holds
}

// Error says what is wrong with a condition, and where: Line and Column count from 1, Column characters.
type Error struct {
	Line, Column int
	Problem      string
}

func (e *Error) Error() string {
	if e.Line > 1 {
		return fmt.Sprintf("line %d, column %d: %s", e.Line, e.Column, e.Problem)
	}
	return fmt.Sprintf("column %d: %s", e.Column, e.Problem)
}

// Compile checks a condition. Every error is an *Error.
func Compile(source string) (*Condition, error) {
	if len(source) > MaxLength {
		return nil, &Error{1, 1, fmt.Sprintf("the condition is longer than %d octets", MaxLength)}
	}
	c := &Condition{text: source}
	n := &names{condition: c, lone: map[any]string{}}
	program, err := expr.Compile(source, expr.Env(environment{}), expr.AsBool(), expr.DisableAllBuiltins(),
		expr.MaxNodes(maxNodes), expr.Patch(n), expr.Patch(differences{}))
	if own := n.problem(source); own != nil {
		return nil, own
	}
	if err != nil {
		var at *file.Error
		if errors.As(err, &at) {
			return nil, &Error{max(at.Line, 1), at.Column + 1, at.Message}
		}
		return nil, &Error{1, 1, err.Error()}
	}
	c.program = program
	return c, nil
}
