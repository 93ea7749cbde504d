// Package attestations is what is claimed about an artifact: statements, and the signatures on them.
//
// Types carry how far a claim is to be trusted, and few functions lead from one to the next:
//
//	Statement   says something; nobody has signed it        → Sign
//	Bundle      bytes from outside; nothing in it is true   → Open
//	Attestation a statement whose signature was checked: by whom, and when, is known
//	SignedBlob  a file that a Sigstore bundle is over, with or without a statement ([OpenBlob])
//	Signature   what an OMS attestation says of an artifact's files ([ReadSignature])
//	Claim       what any other attestation says of an artifact ([ReadClaim], [Read])
//
// Whether the signer of an Attestation may say what it says is not decided here but by package policy.
//
// Bundles are Sigstore bundles with a DSSE envelope around an in-toto Statement v1. Signatures on artifacts are OpenSSF
// Model Signing v1.0 bundles; older ones, back to v0.2.0, are read too. What else happens to an artifact, from its making to
// its revocation, is stated by [NewStatement] with one of the [Predicate] types.
package attestations
