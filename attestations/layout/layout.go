// Package layout verifies an artifact by an in-toto layout (in-toto specification v1.0, 4.3): what steps there had to be, who
// had to carry out which, and what files may have passed between them. It is for those who have layouts and links already;
// a policy says the same and more. Start with [Verify].
//
// The links' signatures and the rules on artifacts are in-toto-golang's to check; the artifact's digests come from package
// manifest, so that each file is read once and never held in memory. Nothing that a layout says is executed: one whose
// inspections run commands is refused. The package reads layouts and links, as Metablock or in a DSSE envelope, and writes
// nothing.
package layout

import (
	"bytes"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/in-toto/in-toto-golang/in_toto"

	"github.com/hallmark-project/hallmark/pkg/manifest"
	"github.com/hallmark-project/hallmark/pkg/trust"
)

// ErrUnsupported is in the error of a layout that asks for what is not done here: commands that inspections run, sublayouts,
// functionaries by certificate, patterns that two dialects read differently.
var ErrUnsupported = errors.New("not supported in a layout")

// Refused is a no: the layout, the links or the artifact were read, and do not hold.
type Refused struct{ Err error }

func (r *Refused) Error() string { return r.Err.Error() }

// Unwrap returns the cause.
func (r *Refused) Unwrap() error { return r.Err }

func refuse(format string, args ...any) error { return &Refused{fmt.Errorf(format, args...)} }

// Options is what a layout does not say. The zero value has no keys, and Verify then errs.
type Options struct {
	Keys [][]byte  // public keys in PEM, all of which must have signed the layout
	Now  time.Time // when the layout must not have expired
}

// Step is one step that was carried out as the layout asks.
type Step struct {
	Name   string   `json:"name"`
	Signed []string `json:"signedBy"` // in-toto key IDs of those whose links hold, sorted
}

// Verify holds the files of m, and links, to the layout in raw, and returns its steps in order. Files are called NAME/FILE, a
// single file NAME, as hallmark run --link and in-toto's tools name them from the folder above. A no is a *Refused. An error
// that wraps ErrUnsupported, as any other, is no answer.
//
// Each inspection sees the artifact's files as its materials and its products. Where none ends the list of either with
// DISALLOW *, so that it would let in files that nobody made, the files must be exactly the last step's products of that
// NAME. An inspection's rules notice a file that is missing only where they REQUIRE it.
func Verify(raw []byte, links [][]byte, m *manifest.Manifest, o Options) ([]Step, error) {
	keys, err := loadKeys(o.Keys)
	if err != nil {
		return nil, err
	}
	signed, err := parse(raw)
	if err != nil {
		return nil, fmt.Errorf("read layout: %w", err)
	}
	if err := in_toto.VerifyLayoutSignatures(signed, keys); err != nil {
		return nil, refuse("layout is not signed by every key that was given: %w", err)
	}
	l, ok := signed.GetPayload().(in_toto.Layout)
	if !ok {
		return nil, errors.New("read layout: it is none")
	}
	if err := check(&l, o.Now); err != nil {
		return nil, err
	}
	reduced, steps, err := collect(&l, links)
	if err != nil {
		return nil, err
	}
	files, err := digests(m)
	if err == nil {
		err = hold(&l, reduced, files, m.Name)
	}
	if err != nil {
		return nil, err
	}
	return steps, nil
}

// loadKeys reads public keys as in-toto names them.
func loadKeys(all [][]byte) (map[string]in_toto.Key, error) {
	keys := map[string]in_toto.Key{}
	for i, raw := range all {
		k, err := loadKey(raw)
		if err != nil {
			return nil, fmt.Errorf("read layout key %d: %w", i+1, err)
		}
		keys[k.KeyID] = k
	}
	if len(keys) == 0 {
		return nil, errors.New("verify layout: no key to trust was given")
	}
	return keys, nil
}

func loadKey(raw []byte) (in_toto.Key, error) {
	var k in_toto.Key
	known, err := trust.LoadKey(raw)
	if err != nil {
		return k, err
	}
	if e, ok := known.Public().(*ecdsa.PublicKey); ok { // in-toto's default is P-256, whatever the curve
		return k, k.LoadKeyReader(bytes.NewReader(raw), fmt.Sprintf("ecdsa-sha2-nistp%d", e.Params().BitSize), []string{"sha256", "sha512"})
	}
	return k, k.LoadKeyReaderDefaults(bytes.NewReader(raw))
}

// check refuses a layout that has ended, that nobody has to follow, or that asks for what is not done here.
func check(l *in_toto.Layout, now time.Time) error {
	expires, err := time.Parse(in_toto.ISO8601DateSchema, l.Expires)
	switch {
	case err != nil:
		return fmt.Errorf("read layout: expires: %w", err)
	case !now.Before(expires):
		return refuse("layout has expired on %s", l.Expires)
	case len(l.Steps) == 0:
		return refuse("layout has no steps")
	case len(l.RootCas)+len(l.IntermediateCas) > 0:
		return fmt.Errorf("functionaries by certificate: %w", ErrUnsupported)
	}
	seen := map[string]string{}
	for id, k := range l.Keys {
		if other, twice := seen[k.KeyVal.Public]; twice {
			return refuse("layout has one key under two names, %q and %q", other, id)
		}
		seen[k.KeyVal.Public] = id
	}
	for _, s := range l.Steps {
		switch {
		case len(s.CertificateConstraints) > 0:
			return fmt.Errorf("step %q: functionaries by certificate: %w", s.Name, ErrUnsupported)
		case s.Threshold < 1 || s.Threshold > len(s.PubKeys):
			return refuse("step %q: threshold %d of %d functionaries", s.Name, s.Threshold, len(s.PubKeys))
		}
		if err := checkRules(s.Name, s.ExpectedMaterials, s.ExpectedProducts); err != nil {
			return err
		}
	}
	for _, i := range l.Inspect {
		if len(i.Run) > 0 {
			return fmt.Errorf("inspection %q runs a command: %w", i.Name, ErrUnsupported)
		}
		if err := checkRules(i.Name, i.ExpectedMaterials, i.ExpectedProducts); err != nil {
			return err
		}
	}
	return nil
}

// collect returns one link a step, and who made it. Links are known by what they say, not by what their files are called.
func collect(l *in_toto.Layout, links [][]byte) (map[string]in_toto.Metadata, []Step, error) {
	byStep := map[string]map[string]in_toto.Metadata{}
	for _, s := range l.Steps {
		byStep[s.Name] = map[string]in_toto.Metadata{}
	}
	for i, raw := range links {
		signed, err := parse(raw)
		if err != nil {
			return nil, nil, fmt.Errorf("read link %d: %w", i+1, err)
		}
		link, ok := signed.GetPayload().(in_toto.Link)
		if !ok {
			return nil, nil, fmt.Errorf("link %d: sublayouts: %w", i+1, ErrUnsupported)
		}
		of := byStep[link.Name]
		if of == nil {
			continue // another layout's
		}
		step := l.Steps[slices.IndexFunc(l.Steps, func(s in_toto.Step) bool { return s.Name == link.Name })]
		for _, sig := range signed.Sigs() {
			if !slices.Contains(step.PubKeys, sig.KeyID) {
				continue
			}
			if of[sig.KeyID] != nil {
				return nil, nil, refuse("step %q: two links by key %s", link.Name, sig.KeyID)
			}
			of[sig.KeyID] = signed
		}
	}
	verified, err := in_toto.VerifyLinkSignatureThesholds(*l, byStep, nil, nil)
	if err != nil {
		return nil, nil, &Refused{err}
	}
	var steps []Step
	for _, s := range l.Steps {
		of := Step{Name: s.Name}
		for id := range verified[s.Name] {
			of.Signed = append(of.Signed, id)
		}
		slices.Sort(of.Signed)
		steps = append(steps, of)
	}
	reduced, err := in_toto.ReduceStepsMetadata(*l, verified)
	if err != nil {
		return nil, nil, &Refused{err}
	}
	for name, signed := range reduced {
		link, _ := signed.GetPayload().(in_toto.Link)
		clean, err := bySHA256(link)
		if err != nil {
			return nil, nil, refuse("step %q: %w", name, err)
		}
		reduced[name] = &in_toto.Metablock{Signed: clean}
	}
	return reduced, steps, nil
}

// bySHA256 is a link whose files have no digest but SHA-256, where they have that: in-toto compares all that is there, and
// the artifact's files have that one.
func bySHA256(link in_toto.Link) (in_toto.Link, error) {
	for _, files := range []*map[string]in_toto.HashObj{&link.Materials, &link.Products} {
		out := make(map[string]in_toto.HashObj, len(*files))
		for name, digests := range *files {
			at := path.Clean(name)
			if _, twice := out[at]; twice {
				return link, fmt.Errorf("two files are called %q", at)
			}
			out[at] = digests
			if sum, ok := digests["sha256"]; ok {
				out[at] = in_toto.HashObj{"sha256": sum}
			}
		}
		*files = out
	}
	return link, nil
}

// digests are an artifact's files as a link lists them.
func digests(m *manifest.Manifest) (map[string]in_toto.HashObj, error) {
	if m.NoID || len(m.Files) == 0 {
		return nil, errors.New("verify layout: the artifact's files have no SHA-256")
	}
	out := make(map[string]in_toto.HashObj, len(m.Files))
	for _, f := range m.Files {
		name := m.Name
		if !m.Single {
			name = path.Join(m.Name, f.Name)
		}
		out[name] = in_toto.HashObj{"sha256": f.SHA256.Hex()}
	}
	return out, nil
}

// hold checks the rules of steps, then those of inspections on the artifact's files.
func hold(l *in_toto.Layout, reduced map[string]in_toto.Metadata, files map[string]in_toto.HashObj, folder string) error {
	var steps, inspections []any
	for _, s := range l.Steps {
		steps = append(steps, s)
	}
	if err := in_toto.VerifyArtifacts(steps, reduced); err != nil {
		return &Refused{err}
	}
	closed := false
	for _, i := range l.Inspect {
		inspections = append(inspections, i)
		closed = closed || endsClosed(i.ExpectedMaterials) || endsClosed(i.ExpectedProducts)
		link := in_toto.Link{Type: "link", Name: i.Name, Materials: copied(files), Products: copied(files)}
		reduced[i.Name] = &in_toto.Metablock{Signed: link}
	}
	if err := in_toto.VerifyArtifacts(inspections, reduced); err != nil {
		return &Refused{err}
	}
	if closed {
		return nil
	}
	last := l.Steps[len(l.Steps)-1]
	made, _ := reduced[last.Name].GetPayload().(in_toto.Link)
	for name, digest := range files {
		if got := made.Products[name]["sha256"]; got != digest["sha256"] {
			return refuse("%q is no product of step %q", name, last.Name)
		}
	}
	for product := range made.Products {
		if _, there := files[product]; !there && strings.HasPrefix(product, folder+"/") {
			return refuse("%q is a product of step %q, and not there", product, last.Name)
		}
	}
	return nil
}

func copied(files map[string]in_toto.HashObj) map[string]in_toto.HashObj {
	out := make(map[string]in_toto.HashObj, len(files))
	for name, digest := range files {
		out[name] = digest
	}
	return out
}
