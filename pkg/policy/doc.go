// Package policy decides. [Decide] takes a [Policy] and the plain [Facts] that others established and returns a
// [Decision]: yes, no, or don't know, with a stable [Reason] for everything that stood in the way.
//
// Only Decide makes a Decision that allows; the zero Decision is a no. Nothing is never a yes: a policy that trusts
// nobody, a threshold below one, and facts without evidence all lead to a refusal that says so.
//
// The package knows nothing of registries, bundles or predicates. A Decision's JSON form is hallmark.decision/v1, whose
// schema is decision.schema.json beside this file ([Schema]).
package policy
