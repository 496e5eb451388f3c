// Package policy is the language of conditions, such as
//
//	wlan0.congestion > 0.8 || wlan0.rtt > 300
//	wwan0.metered && session.length > 500_000_000
//
// The syntax is that of Go expressions, read by the standard library's go/parser, cut down to what a condition
// needs: || && ! == != < <= > >= + - * /, parentheses, numbers, texts in double quotes, true and false, the
// variables of variables.go, and matches(text, "pattern"). Names and types are checked when a condition is
// compiled, so that evaluating one cannot fail.
//
// A general expression library would cost a process 2.6 to 3.1 MB of memory (expr-lang/expr, casbin/govaluate and
// PaesslerAG/gval, measured in the core), of ten that Midstream may take in all: each looks methods up by name, which
// keeps the linker from dropping any.
package policy

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/scanner"
	"go/token"
	"math"
	"path"
	"slices"
	"strconv"
	"strings"
)

// MaxLength is how many octets a condition may have.
const MaxLength = 2048

// maxDepth bounds the nesting of a condition.
const maxDepth = 64

// Condition is a compiled one. It is constant, and may be evaluated by many goroutines.
type Condition struct {
	text    string
	session bool
	names   []string
	eval    func(v *Variables) value
}

// String returns what the condition was compiled from.
func (c *Condition) String() string { return c.text }

// MarshalText writes it as String does.
func (c *Condition) MarshalText() ([]byte, error) { return []byte(c.text), nil }

// OfSession reports whether the condition speaks of a session, so that it may hold for one and not for another.
func (c *Condition) OfSession() bool { return c.session }

// Interfaces returns the names of the interfaces that the condition speaks of.
func (c *Condition) Interfaces() []string { return c.names }

// Holds evaluates the condition.
func (c *Condition) Holds(v *Variables) bool { return c.eval(v).b }

// kind is the type of a value.
type kind int

const (
	boolean kind = iota
	number
	text
)

func (k kind) String() string { return [...]string{"true or false", "a number", "a text"}[k] }

// value is one of the three; a number that is not known is NaN, which compares as false with everything.
type value struct {
	b bool
	n float64
	s string
}

// Error says what is wrong with a condition, and where: Column counts octets from 1.
type Error struct {
	Column  int
	Problem string
}

func (e *Error) Error() string { return fmt.Sprintf("column %d: %s", e.Column, e.Problem) }

// node is a part of a condition that has been checked.
type node struct {
	kind kind
	eval func(v *Variables) value
}

// Compile checks a condition. Every error is an *Error.
func Compile(source string) (*Condition, error) {
	if len(source) > MaxLength {
		return nil, &Error{1, fmt.Sprintf("the condition is longer than %d octets", MaxLength)}
	}
	files := token.NewFileSet()
	tree, err := parser.ParseExprFrom(files, "", source, 0)
	if err != nil {
		if list, ok := err.(scanner.ErrorList); ok && len(list) > 0 {
			return nil, &Error{max(list[0].Pos.Offset+1, 1), "this is no expression: " + list[0].Msg}
		}
		return nil, &Error{1, "this is no expression: " + err.Error()}
	}
	c := &compiler{base: files.Position(tree.Pos()).Offset - int(tree.Pos()), condition: &Condition{text: source}}
	root, err := c.compile(tree, 0)
	if err != nil {
		return nil, err
	}
	if root.kind != boolean {
		return nil, &Error{1, fmt.Sprintf("the condition is %s, not true or false", root.kind)}
	}
	c.condition.eval = root.eval
	return c.condition, nil
}

type compiler struct {
	base      int
	condition *Condition
}

func (c *compiler) fail(at ast.Node, format string, args ...any) (node, error) {
	return node{}, &Error{max(int(at.Pos())+c.base+1, 1), fmt.Sprintf(format, args...)}
}

func (c *compiler) compile(e ast.Expr, depth int) (node, error) {
	if depth > maxDepth {
		return c.fail(e, "the condition is nested more than %d deep", maxDepth)
	}
	switch e := e.(type) {
	case *ast.ParenExpr:
		return c.compile(e.X, depth+1)
	case *ast.BasicLit:
		return c.literal(e)
	case *ast.Ident:
		if e.Name == "true" || e.Name == "false" {
			v := value{b: e.Name == "true"}
			return node{boolean, func(*Variables) value { return v }}, nil
		}
		return c.fail(e, "%s is no value; write session.length, or wlan0.rtt for an interface called wlan0", e.Name)
	case *ast.SelectorExpr:
		return c.variable(e)
	case *ast.UnaryExpr:
		return c.unary(e, depth)
	case *ast.BinaryExpr:
		return c.binary(e, depth)
	case *ast.CallExpr:
		return c.call(e, depth)
	}
	return c.fail(e, "this has no meaning in a condition")
}

func (c *compiler) literal(e *ast.BasicLit) (node, error) {
	switch e.Kind {
	case token.INT, token.FLOAT:
		n, err := strconv.ParseFloat(strings.ReplaceAll(e.Value, "_", ""), 64)
		if err != nil {
			return c.fail(e, "%s is no decimal number", e.Value)
		}
		return node{number, func(*Variables) value { return value{n: n} }}, nil
	case token.STRING:
		s, err := strconv.Unquote(e.Value)
		if err != nil {
			return c.fail(e, "%s is no text", e.Value)
		}
		return node{text, func(*Variables) value { return value{s: s} }}, nil
	}
	return c.fail(e, "texts stand in double quotes")
}

// variable reads session.X, current.X, NAME.X or interfaces["NAME"].X.
func (c *compiler) variable(e *ast.SelectorExpr) (node, error) {
	field := e.Sel.Name
	name := ""
	switch x := e.X.(type) {
	case *ast.Ident:
		name = x.Name
	case *ast.IndexExpr:
		of, _ := x.X.(*ast.Ident)
		key, _ := x.Index.(*ast.BasicLit)
		if of == nil || of.Name != "interfaces" || key == nil || key.Kind != token.STRING {
			return c.fail(e, `write interfaces["NAME"].%s`, field)
		}
		name, _ = strconv.Unquote(key.Value)
		return c.ofInterface(e, name, field)
	default:
		return c.fail(e, "this has no variables; write session.length, or wlan0.rtt for an interface called wlan0")
	}
	switch name {
	case "session":
		f, ok := sessionFields[field]
		if !ok {
			return c.fail(e.Sel, "a session has no %q; it has %s", field, names(sessionFields))
		}
		c.condition.session = true
		return node{f.kind, func(v *Variables) value {
			if v.Session == nil {
				return unknown
			}
			return f.get(v.Session)
		}}, nil
	case "current":
		c.condition.session = true
	}
	return c.ofInterface(e, name, field)
}

func (c *compiler) ofInterface(e *ast.SelectorExpr, name, field string) (node, error) {
	f, ok := interfaceFields[field]
	if !ok {
		return c.fail(e.Sel, "an interface has no %q; it has %s", field, names(interfaceFields))
	}
	if name == "" || len(name) > 15 || strings.ContainsAny(name, "/: \t\n") {
		return c.fail(e, "%q is no name for a network interface", name)
	}
	if name != "current" && !slices.Contains(c.condition.names, name) {
		c.condition.names = append(c.condition.names, name)
	}
	return node{f.kind, func(v *Variables) value {
		of := name
		if name == "current" {
			if v.Session == nil {
				return unknown
			}
			of = v.Session.Interface
		}
		if i := v.Interfaces[of]; i != nil {
			return f.get(i)
		}
		return unknown
	}}, nil
}

func (c *compiler) unary(e *ast.UnaryExpr, depth int) (node, error) {
	x, err := c.compile(e.X, depth+1)
	if err != nil {
		return x, err
	}
	switch {
	case e.Op == token.NOT && x.kind == boolean:
		return node{boolean, func(v *Variables) value { return value{b: !x.eval(v).b} }}, nil
	case e.Op == token.SUB && x.kind == number:
		return node{number, func(v *Variables) value { return value{n: -x.eval(v).n} }}, nil
	}
	return c.fail(e, "%s cannot stand before %s", e.Op, x.kind)
}

func (c *compiler) binary(e *ast.BinaryExpr, depth int) (node, error) {
	x, err := c.compile(e.X, depth+1)
	if err != nil {
		return x, err
	}
	y, err := c.compile(e.Y, depth+1)
	if err != nil {
		return y, err
	}
	if x.kind != y.kind {
		return c.fail(e, "%s is between %s and %s", e.Op, x.kind, y.kind)
	}
	test := func(f func(a, b value) bool) (node, error) {
		return node{boolean, func(v *Variables) value { return value{b: f(x.eval(v), y.eval(v))} }}, nil
	}
	count := func(f func(a, b float64) float64) (node, error) {
		return node{number, func(v *Variables) value { return value{n: f(x.eval(v).n, y.eval(v).n)} }}, nil
	}
	switch x.kind {
	case boolean:
		switch e.Op {
		case token.LAND:
			return node{boolean, func(v *Variables) value { return value{b: x.eval(v).b && y.eval(v).b} }}, nil
		case token.LOR:
			return node{boolean, func(v *Variables) value { return value{b: x.eval(v).b || y.eval(v).b} }}, nil
		case token.EQL:
			return test(func(a, b value) bool { return a.b == b.b })
		case token.NEQ:
			return test(func(a, b value) bool { return a.b != b.b })
		}
	case text:
		switch e.Op {
		case token.EQL:
			return test(func(a, b value) bool { return a.s == b.s })
		case token.NEQ:
			return test(func(a, b value) bool { return a.s != b.s })
		}
	case number:
		switch e.Op {
		case token.EQL:
			return test(func(a, b value) bool { return a.n == b.n })
		case token.NEQ:
			// What is not known is not known to differ.
			return test(func(a, b value) bool { return a.n < b.n || a.n > b.n })
		case token.LSS:
			return test(func(a, b value) bool { return a.n < b.n })
		case token.LEQ:
			return test(func(a, b value) bool { return a.n <= b.n })
		case token.GTR:
			return test(func(a, b value) bool { return a.n > b.n })
		case token.GEQ:
			return test(func(a, b value) bool { return a.n >= b.n })
		case token.ADD:
			return count(func(a, b float64) float64 { return a + b })
		case token.SUB:
			return count(func(a, b float64) float64 { return a - b })
		case token.MUL:
			return count(func(a, b float64) float64 { return a * b })
		case token.QUO:
			return count(func(a, b float64) float64 { return a / b })
		}
	}
	return c.fail(e, "%s cannot stand between two of %s", e.Op, x.kind)
}

// call reads matches(text, "pattern").
func (c *compiler) call(e *ast.CallExpr, depth int) (node, error) {
	if f, ok := e.Fun.(*ast.Ident); !ok || f.Name != "matches" || len(e.Args) != 2 {
		return c.fail(e, `there is only one function, matches(text, "pattern")`)
	}
	subject, err := c.compile(e.Args[0], depth+1)
	if err != nil {
		return subject, err
	}
	literal, ok := e.Args[1].(*ast.BasicLit)
	if subject.kind != text || !ok || literal.Kind != token.STRING {
		return c.fail(e, `matches takes a text and a pattern in double quotes: matches(session.host, "*.example.org")`)
	}
	pattern, err := strconv.Unquote(literal.Value)
	if err == nil {
		_, err = path.Match(pattern, "")
	}
	if err != nil {
		return c.fail(literal, "%s is no pattern", literal.Value)
	}
	return node{boolean, func(v *Variables) value { return value{b: Match(pattern, subject.eval(v).s)} }}, nil
}

// Match reports whether s matches a pattern in which * stands for any number of characters, ? for one and […] for
// one of a set: glob(7), with a slash like any other character.
func Match(pattern, s string) bool {
	// path.Match alone would not let * pass a slash.
	const instead = "\x00"
	ok, err := path.Match(strings.ReplaceAll(pattern, "/", instead), strings.ReplaceAll(s, "/", instead))
	return ok && err == nil
}

// unknown is the value of what there is not.
var unknown = value{n: math.NaN()}

func names[F any](fields map[string]F) string {
	all := make([]string, 0, len(fields))
	for name := range fields {
		all = append(all, name)
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}
