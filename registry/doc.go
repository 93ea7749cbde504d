// Package registry is where things are kept: artifacts and their evidence, in OCI registries, in OCI image layouts on
// disk, and beside the files themselves.
//
// Start with [ParseRef] and [Open]: a [Repo] is a remote repository or a layout, the same to its callers. An artifact
// goes in with [Repo.Push], [Repo.Attach] and, last, [Repo.Tag]; it comes out with [Repo.Resolve], [Repo.Manifest],
// [Repo.Bundles] and [Repo.Pull]. Evidence beside files is read by [ReadEvidence] and written by [WriteSignature] and
// [AppendClaims]. A [Library] finds what an artifact was made from, [Lists] what is revoked; [States] remembers what was
// seen, and [WriteExport] packs a chain for somebody else.
//
// It reads and writes OCI image manifests and indexes (image-spec 1.1), speaks the OCI distribution protocol
// (distribution-spec 1.1), and reads Sigstore bundles as bytes: it believes nothing in them. Every byte that comes in
// under a digest is checked against it here, whatever the other side said about it; nothing appears under its final
// name before that. What could not be read completely is an error, never "nothing was found".
package registry
