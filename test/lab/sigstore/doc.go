// Package sigstore runs a whole Sigstore on this machine: the real Fulcio, Rekor v2 and timestamp authority, each in a
// process of its own, with an identity provider and a certificate-transparency log that live in this one. It is for
// tests that need the real thing, and for people who want to see keyless signing without a public log.
//
// Start with [Install], then [Start]; [World.Token] mints identity tokens for any name, also ones that nobody should
// accept. In a test, [Run] does all of it. Everything is on loopback:
//
//	signer ── 127.0.0.1:… ── fulcio ── identity provider, CT log (this process)
//	       ── 127.0.0.1:… ── rekor
//	       ── 127.0.0.1:… ── timestamp-server
//
// Where the system allows it (Linux, as root), the three run in a network namespace of their own, so that the ports
// that they insist on disturb nobody: signers reach them through this process, where a test can put a proxy with
// faults before each.
//
// It writes keys, certificates, logs and the servers' output into a folder; there a signer finds trusted_root.json
// (media type application/vnd.dev.sigstore.trustedroot+json;version=0.1) and signing_config.json (v0.2).
package sigstore
