// Package lineage is the graph of what was made from what: nodes are digests with their class, edges say in which role
// one thing went into another. Start with Builder, and ask its Graph for Ancestors and Descendants.
//
// The package knows no predicates and no registries, and nothing of whether an edge is true: whoever adds one has opened
// the statement that says so. Things are made from things that were there before, so an honest graph has no cycle; a
// claimed one may, and then it is shown, and nothing runs for ever.
//
// It reads and writes no bytes. A node costs some 100 bytes and an edge 12, names not counted.
package lineage
