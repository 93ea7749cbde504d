package rule

import (
	"fmt"
	"regexp"
	"regexp/syntax"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/overloads"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
)

// What one match may cost: matching takes time in proportion to the product of the two.
const (
	maxMatched = 64 << 10 // bytes of text
	maxRegex   = 250      // instructions of a compiled pattern
)

// CEL counts what a call costs after it was made. Where one call can take arbitrarily long, these functions take the
// place of CEL's own and look first. None of them can be written in a rule.
const (
	equalFunction   = "@equal"
	inFunction      = "@within"
	matchesFunction = "@matches"
)

// bounded declares the functions.
func bounded() []cel.EnvOption {
	a := cel.TypeParamType("A")
	b := cel.TypeParamType("B")
	return []cel.EnvOption{
		cel.Function(equalFunction, cel.Overload("equal_bounded", []*cel.Type{a, a}, cel.BoolType, cel.BinaryBinding(equal))),
		cel.Function(inFunction,
			cel.Overload("in_list_bounded", []*cel.Type{a, cel.ListType(a)}, cel.BoolType),
			cel.Overload("in_map_bounded", []*cel.Type{a, cel.MapType(a, b)}, cel.BoolType),
			cel.SingletonBinaryBinding(in)),
		cel.Function(matchesFunction, cel.Overload("matches_bounded", []*cel.Type{cel.StringType, cel.StringType}, cel.BoolType, cel.BinaryBinding(match))),
	}
}

// macros are the shapes that rules are written in. There is no map: with values that a rule itself built in a variable, a
// short rule could build one that has no end, by putting it into a list twice, again and again.
func macros() []cel.Macro {
	return []cel.Macro{
		cel.HasMacro, loop(cel.AllMacro), loop(cel.ExistsMacro), loop(cel.ExistsOneMacro), loop(cel.FilterMacro),
		cel.GlobalMacro("metric", 1, func(h cel.MacroExprFactory, _ ast.Expr, args []ast.Expr) (ast.Expr, *common.Error) {
			return h.NewCall(operators.Index, h.NewIdent(metricsVariable), args[0]), nil // a metric that is not there is a missing key
		}),
		cel.GlobalMacro(operators.Equals, 2, instead(equalFunction)),
		cel.GlobalMacro(operators.NotEquals, 2, func(h cel.MacroExprFactory, _ ast.Expr, args []ast.Expr) (ast.Expr, *common.Error) {
			return h.NewCall(operators.LogicalNot, h.NewCall(equalFunction, args...)), nil
		}),
		cel.GlobalMacro(operators.In, 2, instead(inFunction)),
		cel.GlobalMacro(overloads.Matches, 2, expandMatches),
		cel.ReceiverMacro(overloads.Matches, 1, expandMatches),
	}
}

// instead calls function in place of what was written.
func instead(function string) cel.MacroFactory {
	return func(h cel.MacroExprFactory, _ ast.Expr, args []ast.Expr) (ast.Expr, *common.Error) {
		return h.NewCall(function, args...), nil
	}
}

// loop is m over what the statement holds, or over literals.
func loop(m cel.Macro) cel.Macro {
	return cel.ReceiverMacro(m.Function(), m.ArgCount(), func(h cel.MacroExprFactory, target ast.Expr, args []ast.Expr) (ast.Expr, *common.Error) {
		if builds(target) {
			return nil, h.NewError(target.ID(), m.Function()+" goes over what a statement holds or over literals, not over a list that the rule builds")
		}
		return m.Expander()(h, target, args)
	})
}

// builds reports whether e may be a list or map that holds other than literals. What a loop goes over was asked already.
func builds(e ast.Expr) bool {
	switch e.Kind() {
	case ast.ListKind:
		for _, one := range e.AsList().Elements() {
			if one.Kind() != ast.LiteralKind {
				return true
			}
		}
	case ast.MapKind, ast.StructKind:
		return true
	case ast.SelectKind:
		return builds(e.AsSelect().Operand())
	case ast.CallKind:
		call := e.AsCall()
		for _, one := range call.Args() {
			if builds(one) {
				return true
			}
		}
		return call.IsMemberFunction() && builds(call.Target())
	}
	return false
}

func equal(a, b ref.Val) ref.Val {
	if min(weight(a), weight(b)) > maxCost {
		return tooMuch()
	}
	return types.Equal(a, b)
}

func in(one, all ref.Val) ref.Val {
	container, ok := all.(traits.Container)
	if !ok {
		return types.MaybeNoSuchOverloadErr(all)
	}
	if _, isMap := all.(traits.Mapper); !isMap && weight(all) > maxCost { // a map looks its keys up
		return tooMuch()
	}
	return container.Contains(one)
}

func tooMuch() ref.Val { return types.NewErr("comparing more than a rule may: cost limit exceeded") }

// expandMatches refuses a pattern that is written out and does not compile.
func expandMatches(h cel.MacroExprFactory, target ast.Expr, args []ast.Expr) (ast.Expr, *common.Error) {
	if target != nil {
		args = append([]ast.Expr{target}, args...)
	}
	if pattern := args[1]; pattern.Kind() == ast.LiteralKind {
		if s, ok := pattern.AsLiteral().(types.String); ok {
			if _, err := compilePattern(string(s)); err != nil {
				return nil, h.NewError(pattern.ID(), err.Error())
			}
		}
	}
	return h.NewCall(matchesFunction, args...), nil
}

// match reports whether a part of text matches.
func match(text, pattern ref.Val) ref.Val {
	s, p := text.(types.String), pattern.(types.String)
	if len(s) > maxMatched {
		return types.NewErr("matches looks through at most %d bytes, and not %d", maxMatched, len(s))
	}
	re, err := compilePattern(string(p))
	if err != nil {
		return types.WrapErr(err)
	}
	return types.Bool(re.MatchString(string(s)))
}

func compilePattern(expr string) (*regexp.Regexp, error) {
	parsed, err := syntax.Parse(expr, syntax.Perl)
	if err != nil {
		return nil, err
	}
	program, err := syntax.Compile(parsed.Simplify())
	if err != nil {
		return nil, err
	}
	if len(program.Inst) > maxRegex {
		return nil, fmt.Errorf("the pattern compiles to %d steps, and may have %d", len(program.Inst), maxRegex)
	}
	return regexp.Compile(expr)
}
