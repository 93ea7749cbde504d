// Package interop holds Hallmark and the reference implementation of OpenSSF Model Signing against each other: what
// one signs, the other verifies, and both say no once a byte was flipped. Tools of others that read registries, which are
// cosign, oras and a client for ModelPack artifacts, get what is pushed. in-toto's own types read the statements in it, and its
// verifier the links that a run leaves; reports by tools of others are imported as these write them.
//
// Its tests run with HALLMARK_E2E=1, build the hallmark binary and install the reference implementation, for which they
// need Python and the Python package index; where those can't be had they skip, or with HALLMARK_CI=1 fail.
package interop
