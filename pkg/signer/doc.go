// Package signer holds the ways to sign: with a key ([NewKey]), with a certificate and its chain ([NewCertificate]),
// and keyless, with a certificate that Sigstore issues for an identity token ([NewKeyless]).
//
// A [Signer] takes any payload, signs its DSSE v1 pre-authentication encoding, and returns a Sigstore bundle v0.3 as
// JSON. What the payload claims is none of its business. A key in hardware or in a cloud service needs nothing more
// than a crypto.Signer for NewKey.
//
// The package reads PEM private keys ([ParsePrivateKey]), Sigstore's signing_config.json and the answers of Fulcio,
// Rekor and timestamp authorities; it writes PEM keys ([GenerateKey]) and bundles. Only a keyless signer dials.
package signer
