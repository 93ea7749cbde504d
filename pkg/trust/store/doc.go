// Package store keeps the trusted root that verification uses where the caller names none, and the signing config that
// goes with it for signers: imported from files, or fetched and kept up to date through TUF.
//
// Start with [Store.Current]; [Store.Import] and [Store.Update] are what people ask for by name. Only Update dials, and
// only the mirror. A store is one file, trust.json (hallmark.trust-store/v1), private to the user and replaced as a
// whole; it holds trusted root and signing config byte for byte and, where it came through TUF, the metadata that the next update is
// held to.
package store
