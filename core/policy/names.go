// What a condition may be made of: the library's language is larger.
package policy

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/file"
)

// operators are those that a condition may use.
var operators = []string{"||", "or", "&&", "and", "!", "not", "==", "!=", "<", "<=", ">", ">=", "+", "-", "*", "/",
	"contains", "startsWith", "endsWith", "matches"}

// names is a visitor that turns NAME.rtt into interfaces["NAME"].rtt, checks what the names stand for, and refuses what
// is no part of a condition. All numbers become floating-point ones, so that none overflows.
type names struct {
	condition *Condition
	err       *file.Error
	// lone has the nodes that are no values by themselves until a field of them is asked for: interfaces, session and
	// the like, and interfaces["NAME"], with what they are.
	lone map[any]string
}

func (n *names) fail(at ast.Node, format string, args ...any) {
	// The first one in the text counts, not the first that is visited.
	if n.err == nil || at.Location().From < n.err.From {
		n.err = &file.Error{Location: at.Location(), Message: fmt.Sprintf(format, args...)}
	}
}

const (
	isSession    = "session"
	isInterface  = "interface"
	isInterfaces = "interfaces"
	isName       = "name"
)

// Visit sees every node after its children.
func (n *names) Visit(node *ast.Node) {
	switch x := (*node).(type) {
	case *ast.IdentifierNode:
		switch x.Value {
		case "session":
			n.lone[x] = isSession
			n.condition.session = true
		case "current":
			n.lone[x] = isInterface
			n.condition.session = true
		case "interfaces":
			n.lone[x] = isInterfaces
		default:
			n.lone[x] = isName
		}
	case *ast.MemberNode:
		n.member(node, x)
	case *ast.IntegerNode:
		ast.Patch(node, &ast.FloatNode{Value: float64(x.Value)})
	case *ast.FloatNode, *ast.StringNode, *ast.BoolNode:
	case *ast.UnaryNode:
		n.operator(x, x.Operator)
	case *ast.BinaryNode:
		n.operator(x, x.Operator)
	default:
		n.fail(x, "this has no meaning in a condition")
	}
}

func (n *names) operator(at ast.Node, operator string) {
	if !slices.Contains(operators, operator) {
		n.fail(at, "%s has no meaning in a condition", operator)
	}
}

// member reads BASE.FIELD and interfaces["NAME"].
func (n *names) member(node *ast.Node, x *ast.MemberNode) {
	what, base := n.lone[x.Node], x.Node
	delete(n.lone, x.Node)
	property, ok := x.Property.(*ast.StringNode)
	if !ok {
		n.fail(x, `write interfaces["NAME"].rtt`)
		return
	}
	field := property.Value
	switch what {
	case isInterfaces:
		n.speaksOf(x, field)
		n.lone[x] = isInterface
	case isName:
		name := base.(*ast.IdentifierNode).Value
		n.speaksOf(x, name)
		n.checkField(property, field, "an interface", reflect.TypeFor[Interface]())
		entry := &ast.MemberNode{Node: &ast.IdentifierNode{Value: isInterfaces}, Property: &ast.StringNode{Value: name}}
		entry.SetLocation(base.Location())
		entry.Node.SetLocation(base.Location())
		entry.Property.SetLocation(base.Location())
		x.Node = entry
	case isInterface:
		n.checkField(property, field, "an interface", reflect.TypeFor[Interface]())
	case isSession:
		n.checkField(property, field, "a session", reflect.TypeFor[Session]())
	default:
		n.fail(x, "this has no variables; write session.length, or wlan0.rtt for an interface called wlan0")
	}
}

func (n *names) speaksOf(at ast.Node, name string) {
	if name == "" || len(name) > 15 || strings.ContainsAny(name, "/: \t\n") {
		n.fail(at, "%q is no name for a network interface", name)
		return
	}
	if !slices.Contains(n.condition.names, name) {
		n.condition.names = append(n.condition.names, name)
	}
}

func (n *names) checkField(at ast.Node, field, of string, t reflect.Type) {
	var all []string
	for i := range t.NumField() {
		if name := t.Field(i).Tag.Get("expr"); name != "-" {
			all = append(all, name)
		}
	}
	if !slices.Contains(all, field) {
		slices.Sort(all)
		n.fail(at, "%s has no %q; it has %s", of, field, strings.Join(all, ", "))
	}
}

// problem is what was found wrong in all of the condition.
func (n *names) problem(source string) error {
	for node, what := range n.lone {
		at := node.(ast.Node)
		name := what
		if identifier, ok := at.(*ast.IdentifierNode); ok {
			name = identifier.Value
		}
		n.fail(at, "%s is no value; write session.length, or wlan0.rtt for an interface called wlan0", name)
	}
	if n.err == nil {
		return nil
	}
	n.err.Bind(file.NewSource(source))
	return &Error{n.err.Line, n.err.Column + 1, n.err.Message}
}

// differences is a visitor that makes a != b of numbers say a < b || a > b: what is not known is not known to differ.
type differences struct{}

func (differences) Visit(node *ast.Node) {
	x, ok := (*node).(*ast.BinaryNode)
	if !ok || x.Operator != "!=" || !isNumber(x.Left) || !isNumber(x.Right) {
		return
	}
	less := &ast.BinaryNode{Operator: "<", Left: x.Left, Right: x.Right}
	more := &ast.BinaryNode{Operator: ">", Left: x.Left, Right: x.Right}
	less.SetLocation(x.Location())
	more.SetLocation(x.Location())
	ast.Patch(node, &ast.BinaryNode{Operator: "||", Left: less, Right: more})
}

func isNumber(node ast.Node) bool { return node.Type() != nil && node.Type().Kind() == reflect.Float64 }
