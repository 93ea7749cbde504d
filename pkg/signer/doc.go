// Package signer holds the ways to sign: with a key ([NewKey]), with a certificate and its chain ([NewCertificate]),
// and keyless, with a certificate that Sigstore issues for an identity token ([NewKeyless]). Keys come from files
// ([ParsePrivateKey]), key services and hardware tokens ([OpenKeyURI]); [NewWitnessed] has what keys and certificates sign
// timestamped and logged.
//
// A [Signer] takes any payload, signs its DSSE v1 pre-authentication encoding, and returns a Sigstore bundle v0.3 as
// JSON. What the payload claims is none of its business. The README beside this file has all ways with their commands.
//
// The package reads PEM private keys ([ParsePrivateKey]), Sigstore's signing_config.json and the answers of Fulcio,
// Rekor and timestamp authorities; it writes PEM keys ([GenerateKey]) and bundles. Only keyless signers, witnesses and
// key services dial.
package signer
