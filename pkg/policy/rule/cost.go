package rule

import (
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
)

// maxCost is how much work one evaluation may cause: about this many calls, or ten times as many bytes of text looked
// through. It takes some tens of milliseconds.
const maxCost = 200_000

// costs prices calls by the size of what they work on. CEL's own prices do not see into values of types that are known
// only at run time, which a predicate's all are: there they take a comparison of two documents for one step, and so does
// doubling a text.
type costs struct{}

// CallCost is the price of one call that was made: at least 1.
func (costs) CallCost(function, _ string, args []ref.Val, result ref.Val) *uint64 {
	price := uint64(1)
	switch function {
	case equalFunction:
		price += min(weight(args[0]), weight(args[1]))
	case inFunction:
		if _, isMap := args[1].(traits.Mapper); !isMap { // which looks its keys up
			price += weight(args[1])
		}
	case matchesFunction: // which compiles its pattern each time, and is slow beside other ways to look through a text
		price += 20 + 10*(length(args[0])+length(args[1]))
	case operators.Add:
		price += length(result) // a list that is the sum of two is as long as they are to whoever goes through it
	default:
		for _, a := range args {
			price += text(a)
		}
		price += text(result)
	}
	return &price
}

// text is the price of going through v where that is a text; of all else functions look at the head alone.
func text(v ref.Val) uint64 {
	switch v.(type) {
	case types.String, types.Bytes:
		return length(v)
	}
	return 0
}

// length is how long v is, in steps: a tenth of a text's bytes, or a list's items; 0 of what has no length.
func length(v ref.Val) uint64 {
	switch v := v.(type) {
	case types.String:
		return uint64(len(v)) / 10
	case types.Bytes:
		return uint64(len(v)) / 10
	case traits.Lister:
		if n, ok := v.Size().(types.Int); ok {
			return uint64(n)
		}
	}
	return 0
}

// weight is how much there is to v, with all that it holds. It stops counting where a rule cannot pay for more.
func weight(v ref.Val) uint64 {
	var total uint64
	left := []ref.Val{v}
	for len(left) > 0 && total <= maxCost {
		last := left[len(left)-1]
		left = left[:len(left)-1]
		total += 1 + text(last)
		switch last := last.(type) {
		case traits.Mapper:
			for it := last.Iterator(); it.HasNext() == types.True && uint64(len(left)) <= maxCost; {
				key := it.Next()
				left = append(left, key, last.Get(key))
			}
		case traits.Lister:
			for it := last.Iterator(); it.HasNext() == types.True && uint64(len(left)) <= maxCost; {
				left = append(left, it.Next())
			}
		}
	}
	return total
}
