package policy

import "slices"

// Reason is the stable code of one thing that stood in the way of a yes. The codes, their meanings and what mends them
// are documented in this package's README.
type Reason string

// Reasons for a no: evidence was read and refused.
const (
	NoEvidence          Reason = "no-evidence"           // nothing signed was found for the artifact
	UntrustedSigner     Reason = "untrusted-signer"      // signed, but by nobody who is trusted here
	BadSignature        Reason = "bad-signature"         // the signature does not fit the signed bytes
	BundleMalformed     Reason = "bundle-malformed"      // not a strictly formed Sigstore bundle
	StatementMalformed  Reason = "statement-malformed"   // signed by a trusted signer, but breaking the statement's own rules
	UnexpectedStatement Reason = "unexpected-statement"  // a statement of another type than a signature on an artifact
	EvidenceMalformed   Reason = "evidence-malformed"    // a file reserved for evidence holds something else
	CertificateExpired  Reason = "certificate-expired"   // a certificate's window had closed
	CertificateTooEarly Reason = "certificate-not-valid" // a certificate's window had not opened
	LogMissing          Reason = "log-entry-missing"     // keyless without a transparency-log entry
	LogInvalid          Reason = "log-entry-invalid"     // a log entry that does not prove this signature
	LogUntrusted        Reason = "log-untrusted"         // logged, in no log that is trusted here
	SCTInvalid          Reason = "sct-invalid"           // the certificate is in no trusted certificate-transparency log
	TimeMissing         Reason = "no-trusted-time"       // keyless without a time that somebody trusted vouches for
	LogThreshold        Reason = "log-threshold"         // fewer distinct parties logged the signature than asked for
	TimeThreshold       Reason = "timestamp-threshold"   // fewer distinct parties vouch for its time than asked for
	TimestampInvalid    Reason = "timestamp-invalid"     // a timestamp that is not on this signature, or by nobody who is trusted
	KeyTimeMissing      Reason = "key-time-missing"      // a key with a window, and no trusted time shows that it was used inside
	KeyTooEarly         Reason = "key-not-valid"         // a key was used, or may have been, before its window opened
	KeyExpired          Reason = "key-expired"           // a key was used, or may have been, after its window closed
	Revoked             Reason = "revoked"               // a key was revoked, and nothing shows that it signed before
	DigestMismatch      Reason = "digest-mismatch"       // a file's bytes are not the signed ones
	FileMissing         Reason = "file-missing"          // signed, but not there
	FileUnsigned        Reason = "file-unsigned"         // there, but not signed
	FileRefused         Reason = "file-refused"          // a link, a special file or a name that no artifact may have
	Uncovered           Reason = "uncovered"             // a file that the signature leaves out on purpose, where that is not allowed
	IDMismatch          Reason = "id-mismatch"           // the artifact ID that the signer wrote is not the one that was found
	NotCanonical        Reason = "not-canonical"         // a registry's manifest is not the canonical one of the signed files
	WrongArtifact       Reason = "wrong-artifact"        // what is there is no model, adapter or dataset
	Unsupported         Reason = "unsupported-algorithm" // hashed or signed with something that is not verified here
)

// Reasons for a don't know: it could not be established.
const (
	PolicyUnusable Reason = "policy-unusable" // the policy trusts nobody or contradicts itself
	Unreachable    Reason = "unreachable"     // a registry, log or trust root did not answer
	Unreadable     Reason = "unreadable"      // a file or answer could not be read
	TimedOut       Reason = "timed-out"       // a network step took longer than allowed
	Changed        Reason = "changed"         // the artifact changed while it was read
	BytesNeeded    Reason = "bytes-needed"    // only reading the files themselves could tell
	CapReached     Reason = "cap-reached"     // there is more evidence, or a larger one, than is read
)

var unknowns = []Reason{PolicyUnusable, Unreachable, Unreadable, TimedOut, Changed, BytesNeeded, CapReached}

// Verdict is the verdict that r alone leads to: Unknown where something could not be established, else No. There is no
// reason that leads to Yes.
func (r Reason) Verdict() Verdict {
	if slices.Contains(unknowns, r) {
		return Unknown
	}
	return No
}
