package attestations

import (
	"errors"
	"fmt"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/hallmark-project/hallmark/pkg/policy"
	"github.com/hallmark-project/hallmark/pkg/trust"
)

// proof is what checking a signature established.
type proof struct {
	signer trust.Signer
	time   time.Time // the earliest that somebody trusted vouches for; zero where nobody does
	source string    // who that was: logged or timestamped
	logs   []string  // the witnesses whose logs hold the signature
	clocks []string  // the witnesses that vouch for a time of it
}

// seen takes note of a trusted time.
func (p *proof) seen(at time.Time, logged bool) {
	if !p.time.IsZero() && !at.Before(p.time) {
		return
	}
	p.time, p.source = at, "timestamped"
	if logged {
		p.source = "logged"
	}
}

// witness checks what a bundle by a key or a certificate chain brings to show that others saw its signature: RFC 3161
// timestamps and transparency-log entries. With a trusted root, one timestamp must hold if there are any, and the log
// entries if there are any; the earliest time of all is p's. Without one, nobody could vouch for them, and nothing is
// believed. by names the verifier alone.
//
// Such evidence is not part of what was signed: whoever carries a bundle can take it away. It never helps to demand less.
func (p *proof) witness(w *wire, by trust.Logged, roots trust.Roots) error {
	if roots.Sigstore == nil {
		return nil
	}
	timestamps, err := w.timestamps()
	if err != nil {
		return &OpenError{policy.BundleMalformed, err}
	}
	if len(timestamps) > 0 {
		stamp, err := roots.Sigstore.Earliest(timestamps, w.signature())
		if err != nil {
			return &OpenError{policy.TimestampInvalid, err}
		}
		p.seen(stamp.Time, false)
	}
	by = w.logged(by)
	if len(by.Entries) > 0 {
		at, err := roots.Sigstore.VerifyLogEntries(by)
		switch {
		case errors.Is(err, trust.ErrLogUntrusted):
			return &OpenError{policy.LogUntrusted, err}
		case err != nil:
			return &OpenError{policy.LogInvalid, err}
		case !at.IsZero():
			p.seen(at, true)
		}
	}
	p.ask(roots.Sigstore, timestamps, by)
	return nil
}

// ask names the parties of s that saw a signature of which the timestamps and entries hold, each asked alone.
func (p *proof) ask(s *trust.Sigstore, timestamps [][]byte, by trust.Logged) {
	for _, w := range s.Witnesses() {
		_, stampErr := w.Alone().Earliest(timestamps, by.Signature)
		at, err := w.Alone().VerifyLogEntries(by)
		if err == nil {
			p.logs = append(p.logs, w.Name())
		}
		if stampErr == nil || err == nil && !at.IsZero() {
			p.clocks = append(p.clocks, w.Name())
		}
	}
}

// logged completes by, which names the verifier, with what was signed and the log entries that the bundle brings.
func (w *wire) logged(by trust.Logged) trust.Logged {
	by.MediaType, by.Signature = w.MediaType, w.signature()
	if w.Message != nil {
		by.File = w.Message.Digest.Digest
	} else {
		by.PayloadType, by.Payload = w.Envelope.PayloadType, w.Envelope.Payload
	}
	for _, e := range w.Material.LogEntries {
		by.Entries = append(by.Entries, e)
	}
	return by
}

// timestamps are the RFC 3161 responses that a bundle brings, strictly decoded.
func (w *wire) timestamps() ([][]byte, error) {
	if w.Material.Timestamps == nil {
		return nil, nil
	}
	var data struct {
		RFC3161 []struct {
			Response []byte `json:"signedTimestamp"`
		} `json:"rfc3161Timestamps"`
	}
	if err := json.Unmarshal(*w.Material.Timestamps, &data, json.RejectUnknownMembers(true)); err != nil {
		return nil, fmt.Errorf("decode timestamps: %w", err)
	}
	responses := make([][]byte, len(data.RFC3161))
	for i, t := range data.RFC3161 {
		responses[i] = t.Response
	}
	return responses, nil
}

// NotBefore is the trusted time before which s was not signed: that of a timestamp on the artifact ID inside of what was
// signed. ok is false where s holds none, or roots no trusted root to check it against. A timestamp that does not hold is an
// *OpenError. Nothing but the signature makes the link: a timestamp that others got earlier moves the bound down, not up.
func (s *Signature) NotBefore(roots trust.Roots) (t time.Time, ok bool, err error) {
	return notBefore(s.Stamp, s.ArtifactID, roots)
}

// NotBefore is the trusted time before which c was not signed, as a Signature's is: that of a timestamp inside on its
// subject, which is the artifact ID, or of a list of what is revoked the first digest. It says nothing of a Claim that nobody
// signed.
func (c Claim) NotBefore(roots trust.Roots) (t time.Time, ok bool, err error) {
	return notBefore(c.stamp, c.stampOn, roots)
}

func notBefore(response []byte, on string, roots trust.Roots) (t time.Time, ok bool, err error) {
	if len(response) == 0 || roots.Sigstore == nil {
		return time.Time{}, false, nil
	}
	stamp, err := roots.Sigstore.VerifyTimestamp(response, []byte(on))
	if err != nil {
		return time.Time{}, false, refuse(policy.TimestampInvalid, "timestamp inside the statement: %w", err)
	}
	return stamp.Time, true, nil
}
