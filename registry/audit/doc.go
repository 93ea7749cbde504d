// Package audit decides on everything that registries hold, and says what changed since the last time. Start with [Run];
// a [Report] is what it found, and can be written as CSV, SARIF or one HTML page. [Controls] turns it into what evidence
// supports of a checklist.
//
// Everything is asked for first: repositories, tags, manifests, which evidence lies with each. Then each artifact is
// decided on by a [Judge], as chain.Verify and chain.VerifyPolicy decide on one. Of an artifact whose evidence is what it
// was, and that of all that it was made from, the last verdict may be used again, and says so; see [State].
//
// It reads what package registry reads, and reads and writes files of its own in State.Dir (hallmark.audit-state/v1).
package audit
