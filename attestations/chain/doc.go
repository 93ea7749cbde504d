// Package chain puts evidence and artifact together and has policy decide: it collects bundles from every [Source],
// opens each once, compares what trusted signers listed with what is there, and hands the plain facts to
// policy.Decide. Start with [Verify], which decides on one artifact by who signed it, and [VerifyPolicy], which follows
// what it was made from through a [Library] as far as a policy.Document asks.
//
// What is decided on is an [Artifact]: files that are read ([Files]), or the canonical manifest under which a registry
// serves them ([Manifest]). Where evidence is kept is not known here; package registry implements Source.
package chain
