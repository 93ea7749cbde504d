// Package manifest turns a directory or file into a [Manifest]: its files by name, size and digest, its OMS resources
// and root digest, and its artifact ID, the digest of its canonical OCI manifest.
//
// Start with [Build] to hash what is on disk, and [ParseCanonical] to read what a registry serves. [List] and
// [Listing.Hash] are Build's two halves, for verifiers, to whom a refused file is a finding and not an error.
//
// Where the bytes are on one machine and the right to sign is on another, [Manifest.Digests] writes down what the other
// needs, and [ParseDigests] reads it there. The form is digests.schema.json beside this file ([DigestsSchema]).
//
// The identity is fixed byte for byte by ARTIFACT-ID.md in this folder. Listing follows OMS §6.1 and §6.2: regular files
// only, names in code-point order, symbolic links only where asked.
package manifest
