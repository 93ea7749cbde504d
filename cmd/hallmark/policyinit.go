package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/hallmark-project/hallmark/attestations/chain"
	"github.com/hallmark-project/hallmark/pkg/policy"
	"github.com/hallmark-project/hallmark/pkg/trust"
)

// What a first policy says where no evidence tells.
const (
	initLife = 365 * 24 * time.Hour // of the policy itself
	initAge  = 90                   // days that evidence counts
	initStep = "release"
)

func newPolicyInit(s streams) *cobra.Command {
	var whom trustFlags
	var net networkFlags
	var list listFlags
	var over policyFlags
	var name, to string
	c := &cobra.Command{
		Use:   "init ARTIFACT|REF",
		Short: "Write a first policy, from what trusted signers say of an artifact",
		Long: `Verify an artifact by whom you name, and write the policy that asks for what they say of it: that they signed its files,
how it was made and by which builder, exactly these inputs, and tests, approvals and releases of these kinds. It is a
beginning: what was found is not what has to be, and an input that is pinned is not looked into. Read it, loosen no more
than you mean to, and have others read it: hallmark policy lint and explain help.

Keys and authorities are written into the policy, so that its digest and a signature on it cover them.`,
		Example: `  hallmark policy init ./chat --public-key trainer.pub --public-key tester.pub --out prod.yaml
  hallmark policy lint prod.yaml`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			p := &firstPolicy{name: name, now: time.Now()}
			if err := p.trust(&whom); err != nil {
				return err
			}
			bar := newProgress(s, "hashed", output{})
			defer bar.stop()
			d, err := p.decide(c.Context(), args, &over, &whom, &net, &list, bar)
			bar.stop()
			if err != nil {
				return err
			}
			if d.Verdict() != policy.Yes {
				return showDecision(s, d, shownAs{})
			}
			p.learn(d)
			text := p.text(d)
			if _, err := policy.Load([]byte(text), vocabulary()); err != nil {
				return fmt.Errorf("what is said of %s makes no policy: %w", args[0], err)
			}
			for _, w := range p.left {
				warn(s.err, printable(w))
			}
			if to != "" {
				return writeNew(to, []byte(text), 0o644)
			}
			_, err = fmt.Fprint(s.out, text)
			return err
		},
	}
	f := c.Flags()
	f.StringArrayVar(&whom.PublicKeys, "public-key", nil, "PEM `FILE` with a public key that is trusted (repeats); its name becomes the identity's")
	f.StringArrayVar(&whom.CertificateChains, "certificate-chain", nil, "PEM `FILE` with CA certificates, for --certificate-subject")
	f.StringVar(&whom.CertificateSubject, "certificate-subject", "", "the `SUBJECT` that is trusted under --certificate-chain")
	f.StringVar(&whom.Identity, "identity", "", "keyless: the `NAME` that is trusted")
	f.StringVar(&whom.IdentityProvider, "identity-provider", "", "keyless: the `URL` of the OIDC issuer that vouches for the name")
	f.StringVar(&whom.TrustedRoot, "trusted-root", "", "Sigstore trusted_root.json `FILE`, instead of the imported one")
	bindTrustDir(f, &whom.TrustDir)
	net.bind(f)
	list.bindSignature(f, "signature `FILE`, instead of model.sig or FILE.sig")
	f.StringVar(&name, "name", "", "`NAME` of the policy; default: the artifact's")
	f.StringVar(&to, "out", "", "`FILE` to write, which must not exist yet; default: standard output")
	return c
}

// firstPolicy is a policy that is being found out.
type firstPolicy struct {
	name string
	now  time.Time

	doc        *policy.Document // that knows who signed
	identities []string         // their text, in order
	names      []string
	signers    []string            // who signed the files
	making     *policy.Making      // how it was made
	makers     []string            // who says so
	ingestors  []string            // who let it in
	channel    string              // where it was released
	releasers  []string            // by whom
	by         map[string][]string // who else says what: by type of statement and activity
	left       []string            // what is not in the policy, and why
}

// trust takes over whom the flags name.
func (p *firstPolicy) trust(whom *trustFlags) error {
	if whom.nobody() {
		return usageError{hintError{trust.ErrNobody, "--public-key FILE, --certificate-chain FILE, or --identity NAME --identity-provider URL"}}
	}
	if len(whom.CertificateChains) > 0 && whom.CertificateSubject == "" {
		return usagef("--certificate-chain needs --certificate-subject: a CA alone is never enough in a policy")
	}
	if _, _, err := whom.load(policy.Policy{}); err != nil { // the flags' own checks, with their own words
		return err
	}
	for _, file := range whom.PublicKeys {
		pem, err := readSmall(file)
		if err != nil {
			return err
		}
		p.identity(file, "key: |\n"+indented(pem))
	}
	for _, file := range whom.CertificateChains {
		pem, err := readSmall(file)
		if err != nil {
			return err
		}
		p.identity(file, fmt.Sprintf("subject: %q\n      ca: |\n%s", whom.CertificateSubject, indented(pem)))
	}
	if whom.Identity != "" {
		p.identity("signer", fmt.Sprintf("issuer: %q\n      subject: %q\n", whom.IdentityProvider, whom.Identity))
	}
	return nil
}

var notName = regexp.MustCompile(`[^A-Za-z0-9._-]+`)

// named is a name for what file holds that a policy can have.
func named(file string) string {
	base := strings.TrimSuffix(filepath.Base(file), filepath.Ext(file))
	if n := strings.Trim(notName.ReplaceAllString(base, "-"), "-._"); n != "" {
		return n
	}
	return "unnamed"
}

func (p *firstPolicy) identity(file, form string) {
	name := named(file)
	for n := 2; slices.Contains(p.names, name); n++ {
		name = fmt.Sprintf("%s-%d", named(file), n)
	}
	p.names = append(p.names, name)
	p.identities = append(p.identities, fmt.Sprintf("  %s:\n      %s", name, form))
}

// indented is PEM as a text of several lines.
func indented(pem []byte) string {
	var b strings.Builder
	for line := range strings.Lines(strings.TrimSpace(string(pem))) {
		b.WriteString("        " + strings.TrimSpace(line) + "\n")
	}
	return b.String()
}

// head is the policy up to its steps.
func (p *firstPolicy) head(name string) string {
	return fmt.Sprintf("apiVersion: hallmark/v1\nkind: Policy\nname: %s\nversion: 1\nexpires: %s\nidentities:\n%s", name,
		p.now.Add(initLife).UTC().Format(time.DateOnly), strings.Join(p.identities, ""))
}

// decide verifies the artifact by a policy that asks for nothing but a signature by any one of those who are trusted.
func (p *firstPolicy) decide(ctx context.Context, args []string, over *policyFlags, whom *trustFlags, net *networkFlags, list *listFlags, bar *progress) (policy.Decision, error) {
	first := p.head("first") + fmt.Sprintf("target: %s\nsteps: {%s: {signature: [%s]}}\n", initStep, initStep, strings.Join(p.names, ", "))
	file := &policyFile{raw: []byte(first)}
	var err error
	if file.doc, err = policy.Load(file.raw, vocabulary()); err != nil {
		return policy.Decision{}, err
	}
	r, err := over.prepareBy(ctx, file, args, whom, net, list, bar)
	if err != nil {
		return policy.Decision{}, err
	}
	defer r.close()
	decisions, _, err := chain.VerifyPolicy(ctx, r.targets, r.library, file.doc, r.options)
	if err != nil {
		return policy.Decision{}, err
	}
	d := decisions[0]
	if d.Verdict() == policy.Yes && len(d.Chain) == 0 {
		return d, errors.New("the decision shows no chain")
	}
	p.doc = file.doc
	return d, nil
}
