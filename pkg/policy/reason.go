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

// Reasons for a no in a chain: evidence was read, and a link or a statement that the policy asks for does not hold.
const (
	EvidenceMissing Reason = "evidence-missing"     // nobody who is trusted for it states what the policy asks for
	Stale           Reason = "stale"                // a statement is older than the policy takes, or of no known age
	Refuted         Reason = "refuted"              // a trusted signer says no, and not before another said yes
	QuorumMissed    Reason = "quorum-missed"        // fewer distinct principals signed than were asked for
	OwnWork         Reason = "own-work"             // who made the artifact approved it
	RuleFailed      Reason = "rule-failed"          // a rule of the policy is false of a statement
	RuleError       Reason = "rule-error"           // a rule of the policy cannot be answered of a statement
	LinkUnattested  Reason = "link-unattested"      // nobody who is trusted for it says how an artifact was made or let in
	LinkMissing     Reason = "link-missing"         // fewer inputs of a role, or more, than the policy asks for
	LinkUnpinned    Reason = "link-unpinned"        // an input that its digest does not name: a working tree with changes
	LinkSwapped     Reason = "link-swapped"         // an input is another than the policy lets in
	LinkUnexpected  Reason = "link-unexpected"      // an input in a role that the policy does not mention
	WrongBuilder    Reason = "wrong-builder"        // a builder that this signer does not speak for
	WrongBuildType  Reason = "wrong-build-type"     // made in another way than the policy lets in
	WrongKind       Reason = "wrong-kind"           // a model where a dataset is asked for, or the like
	WrongSubject    Reason = "wrong-subject"        // a statement about another artifact
	Ambiguous       Reason = "ambiguous-provenance" // two trusted accounts of one artifact's making differ
	OutOfOrder      Reason = "out-of-order"         // made before what it was made from
	Cycle           Reason = "cycle"                // made, by way of others, from itself
	NotPinned       Reason = "not-pinned"           // none of the artifacts that the policy names
	VSARefused      Reason = "vsa-refused"          // a verification summary that may not stand for what is below
	NoAlternative   Reason = "no-alternative"       // none of the ways that the policy offers holds
	ReleaseRollback Reason = "release-rollback"     // older than its channel has seen, and nobody approved of that
	BaseMismatch    Reason = "base-mismatch"        // an adapter is served on another base than it was made for
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

	PolicyExpired       Reason = "policy-expired"       // the policy's own end has passed
	PolicyRollback      Reason = "policy-rollback"      // an older version of the policy than was used before
	RevocationsMissing  Reason = "revocations-missing"  // no list of what is revoked by anybody who is trusted for it
	RevocationsStale    Reason = "revocations-stale"    // the list has expired, or is older than the policy takes
	RevocationsRollback Reason = "revocations-rollback" // an older or smaller list than was seen before, or one that jumps ahead
	StateMissing        Reason = "state-missing"        // the order of releases is asked for, and nothing says what was seen before
	ClockBehind         Reason = "clock-behind"         // this machine's clock is behind a time that was verified
	FilesUnknown        Reason = "files-unknown"        // single files are revoked, and the artifact's are not known here
)

var unknowns = []Reason{PolicyUnusable, Unreachable, Unreadable, TimedOut, Changed, BytesNeeded, CapReached,
	PolicyExpired, PolicyRollback, RevocationsMissing, RevocationsStale, RevocationsRollback, StateMissing, ClockBehind, FilesUnknown}

// Verdict is the verdict that r alone leads to: Unknown where something could not be established, else No. There is no
// reason that leads to Yes.
func (r Reason) Verdict() Verdict {
	if slices.Contains(unknowns, r) {
		return Unknown
	}
	return No
}
