package rule

import (
	"sync"

	"cel.dev/cel-go/cel"
)

// Caps on a rule.
const (
	MaxSource = 4 << 10 // bytes of a rule

	maxDepth = 64    // of nested expressions
	maxNodes = 4_000 // of a rule, with what its macros expand to
)

// metricsVariable holds the metrics; it cannot be written in a rule, which asks by the function metric.
const metricsVariable = "@metrics"

// environment is made at the first rule: it costs milliseconds that most runs need not spend.
var environment = sync.OnceValues(func() (*cel.Env, error) {
	return cel.NewEnv(append(bounded(),
		cel.Variable("predicate", cel.MapType(cel.StringType, cel.DynType)),
		cel.Variable(metricsVariable, cel.MapType(cel.StringType, cel.DoubleType)),
		cel.Variable("type", cel.StringType),
		cel.Variable("artifact", cel.StringType),
		cel.Variable("kind", cel.StringType),
		cel.Variable("signer", cel.MapType(cel.StringType, cel.StringType)),
		cel.Variable("at", cel.TimestampType),
		cel.Variable("now", cel.TimestampType),
		cel.ClearMacros(),
		cel.Macros(macros()...),
		cel.CrossTypeNumericComparisons(true),
		cel.DefaultUTCTimeZone(true),
		cel.ParserRecursionLimit(maxDepth),
		cel.ExpressionNodeLimit(maxNodes),
		cel.ParserErrorRecoveryLimit(4),
	)...)
})
