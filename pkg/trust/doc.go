// Package trust says whose signatures count.
//
// [Roots] holds what a caller accepts as a source of identity: public keys, certificate authorities, and a Sigstore
// trusted root. Opening a bundle against Roots yields a [Signer], a fact: this key, this certificate subject, this
// OIDC identity signed. Whether that signer may say what it said is a second question, answered by comparing the
// Signer with an [Identity], which matches exactly.
//
// A Sigstore trusted root says who is trusted ([Sigstore.Entries], [Warnings]) and which of them are one party
// ([Sigstore.Witnesses]), which is what thresholds count. Package store beside this one keeps the imported root.
//
// Start with [LoadKey] and [LoadSigstore]. The package reads PEM public keys and certificates and Sigstore's
// trusted_root.json; it writes nothing and never dials.
package trust
