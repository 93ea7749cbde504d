// Package index keeps what registries hold, what was decided on it, and how it hangs together, so that a question about
// all of it is answered without asking every registry again: what was this made from, what does it reach, where does that
// run. Start with Open and Index.Update; then Index.Lineage and Index.Impact.
//
// What is kept is one log of events, each of which holds the SHA-256 of the one before it, and the documents that events
// name by digest. Everything that is answered is read from the log, whole and in order, into memory; so an event that was
// changed, lost or added out of turn is found before anything is answered. See README.md for what is found and what not.
//
// Signed bundles are the truth, and they stay in the registries. The index has what opened attestations said, and who
// said it; it has no column "trusted", only verdicts with the policy and the time that they were given under, and it
// never stands in for checking a signature.
//
// It reads and writes a SQLite file, or two tables of a PostgreSQL database.
package index
