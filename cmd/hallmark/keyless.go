package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/spf13/pflag"

	"github.com/hallmark-project/hallmark/pkg/signer"
	"github.com/hallmark-project/hallmark/pkg/token"
	"github.com/hallmark-project/hallmark/pkg/trust"
)

// identityFlags is how a keyless signature's identity token is come by.
type identityFlags struct {
	IdentityToken     string
	IdentityTokenFile string
	Provider          string
	Issuer            string
	ClientID          string
	Audience          string
	Yes               bool

	silent bool                    // do not say which token is used; questions are asked all the same
	hold   func() (release func()) // makes room on the terminal
}

// The providers that are people.
const (
	byBrowser = "browser"
	byDevice  = "device"
)

func (o *identityFlags) bind(f *pflag.FlagSet) {
	f.StringVar(&o.IdentityToken, "identity-token", "", "keyless: the OIDC `TOKEN`; prefer --identity-token-file, which other users of the machine cannot see")
	f.StringVar(&o.IdentityTokenFile, "identity-token-file", "", "keyless: `FILE` with the OIDC token, read when it is needed")
	f.StringVar(&o.Provider, "oidc-provider", "", "keyless: `NAME` of where the token comes from: "+strings.Join(append(token.Providers(), byBrowser, byDevice), ", ")+"; without, the first that is offered")
	f.StringVar(&o.Issuer, "oidc-issuer", "", "keyless: `URL` of the OIDC issuer to log in at; without, the signing config's")
	f.StringVar(&o.ClientID, "oidc-client-id", token.DefaultClientID, "keyless: OAuth client `ID` to log in with")
	f.StringVar(&o.Audience, "oidc-audience", "", "keyless: `NAME` that the token has to be for (default "+token.DefaultAudience+", for a login the client ID)")
	f.BoolVar(&o.Yes, "yes", false, "do not ask before a name goes into a public log")
}

// wanted reports whether a flag says that the signature is to be keyless.
func (o *identityFlags) wanted() bool {
	return o.IdentityToken != "" || o.IdentityTokenFile != "" || o.Provider != ""
}

// source returns where the token will come from. The network is not asked, so that what is missing is said before hours
// of hashing.
func (o *identityFlags) source(s streams, issuer string, timeout time.Duration) (*token.Source, error) {
	options := token.Options{Audience: o.Audience, Timeout: timeout}
	switch {
	case o.IdentityToken != "" && o.IdentityTokenFile != "":
		return nil, usagef("--identity-token and --identity-token-file are one token twice: use one")
	case o.Provider != "" && o.IdentityToken+o.IdentityTokenFile != "":
		return nil, usagef("--oidc-provider and an identity token are two ways to come by one: use one")
	case o.IdentityToken != "":
		return token.Static(o.IdentityToken, options), nil
	case o.IdentityTokenFile != "":
		return token.File(o.IdentityTokenFile, options), nil
	case o.Provider == byBrowser || o.Provider == byDevice:
		return o.login(s, o.Provider, issuer, options)
	case o.Provider != "":
		source, err := token.Named(o.Provider, options)
		if err != nil {
			return nil, usagef("--oidc-provider: %w", err)
		}
		return source, nil
	}
	source, err := token.Ambient(options)
	switch {
	case errors.Is(err, token.ErrNone) && s.attended():
		way := byDevice
		if hasDisplay() {
			way = byBrowser
		}
		return o.login(s, way, issuer, options)
	case errors.Is(err, token.ErrNone):
		return nil, usageError{hintError{fmt.Errorf("%w, and there is no terminal to log in from", err),
			"a CI job needs the permission to get one: on GitHub id-token: write, on GitLab id_tokens with SIGSTORE_ID_TOKEN; or --identity-token-file FILE"}}
	case err != nil:
		return nil, usageError{hintError{err, "--oidc-provider NAME chooses another one on purpose"}}
	}
	return source, nil
}

// login asks a person. --oidc-provider browser or device does so without a terminal too: the page may be opened anywhere.
func (o *identityFlags) login(s streams, way, issuer string, options token.Options) (*token.Source, error) {
	if o.Issuer != "" {
		issuer = o.Issuer
	}
	if issuer == "" {
		return nil, usagef("a login needs --oidc-issuer: the signing config names none")
	}
	login := token.Login{Issuer: issuer, ClientID: o.ClientID}
	if way == byDevice {
		login.Show = func(url, code string) {
			fmt.Fprintf(s.err, "hallmark: log in at %s with the code %s\n", printable(url), printable(code))
		}
		return token.Device(options, login)
	}
	login.Show = func(url, _ string) {
		fmt.Fprintf(s.err, "hallmark: log in with a browser on this machine: %s\n", printable(url))
	}
	login.Open = openBrowser
	return token.Browser(options, login)
}

// hasDisplay reports whether a browser on this machine could be seen.
func hasDisplay() bool {
	return runtime.GOOS == "darwin" || runtime.GOOS == "windows" || os.Getenv("DISPLAY") != "" || os.Getenv("WAYLAND_DISPLAY") != ""
}

// openBrowser tries to; the URL was printed before. The URL is one word, never read by a shell.
func openBrowser(url string) {
	var c *exec.Cmd
	switch runtime.GOOS {
	case "darwin":
		c = exec.Command("open", url)
	case "windows":
		c = exec.Command("rundll32", "url.dll,FileProtocolHandler", url)
	default:
		c = exec.Command("xdg-open", url)
	}
	if c.Start() == nil {
		go func() { _ = c.Wait() }()
	}
}

// identified returns the function that a keyless signer asks for its token: after hashing, and again when a certificate
// is at its end. It says whom the token names, and asks before a public log holds that name.
func (o *identityFlags) identified(s streams, source *token.Source, instance signer.Instance) func(context.Context) (string, error) {
	ask := &consent{s: s, logs: instance.PublicLogs, ask: !o.Yes && s.attended()}
	said := ""
	var gaveUp error                                   // a login that failed; with several artifacts the next would open another
	return func(ctx context.Context) (string, error) { // the signer asks for one at a time
		defer o.hold()() // a login and a question share the terminal with the progress
		if gaveUp != nil {
			return "", gaveUp
		}
		t, err := source.Token(ctx)
		if err != nil {
			if source.IsLogin() {
				gaveUp = err
			}
			return "", err
		}
		if name := t.Name() + " " + t.Issuer; !o.silent && said != name {
			fmt.Fprintf(s.err, "hallmark: identity token from %s names %s (%s), which is not verified here\n", source.Name(), printable(t.Name()), printable(t.Issuer))
			said = name
		}
		if err := ask.give(ctx, t.Name()); err != nil {
			return "", err
		}
		return t.Secret(), nil
	}
}

// errDeclined is a person's no.
var errDeclined = errors.New("you did not agree: nothing was signed or logged")

// consent is what a person said to having a name in a public log. It asks once for each name; a no stands.
type consent struct {
	s    streams
	logs []string // hosts of the public logs; none: nothing to ask
	ask  bool     // there is somebody to ask

	mu       sync.Mutex
	agreed   string
	declined error
}

// give asks whether name may go into the logs, and errs unless the answer is yes. Where there is nobody to ask it goes
// on: a pipeline was given its identity to sign with.
func (c *consent) give(ctx context.Context, name string) error {
	if !c.ask || len(c.logs) == 0 {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.declined != nil || c.agreed == name {
		return c.declined
	}
	fmt.Fprintf(c.s.err, "hallmark: %s will hold the name %s for ever, where anybody can read it.\nGo on? [y/N] ", strings.Join(c.logs, " and "), printable(name))
	line, err := c.s.readLine(ctx)
	switch answer := strings.ToLower(strings.TrimSpace(line)); {
	case err != nil:
		c.declined = fmt.Errorf("ask for consent: %w", err)
	case answer == "y" || answer == "yes":
		c.agreed = name
	default:
		c.declined = errDeclined
	}
	return c.declined
}

// errNoServers says that no signing config tells which servers to ask.
var errNoServers = errors.New("no signing config says which servers to ask")

// instance is the Sigstore instance to sign keyless with: trusted root, signing config and where the latter is from. The
// imported signing config goes with the imported trusted root alone.
func (o *signFlags) instance() (root *trust.Sigstore, config []byte, from string, err error) {
	if o.SigningConfig != "" {
		if root, err = loadSigstore(o.TrustedRoot, o.TrustDir); err == nil {
			config, err = readSmall(o.SigningConfig)
		}
		return root, config, "--signing-config " + o.SigningConfig, err
	}
	if o.TrustedRoot != "" {
		return nil, nil, "", usageError{hintError{errNoServers, "--trusted-root FILE needs --signing-config FILE of the same instance"}}
	}
	imported, err := loadImported(o.TrustDir)
	if err != nil {
		return nil, nil, "", err
	}
	if imported.SigningConfig == nil {
		return nil, nil, "", usageError{hintError{errNoServers, "--signing-config FILE, or hallmark trust import FILE --signing-config FILE: none came with the imported trusted root"}}
	}
	return imported.Sigstore, imported.SigningConfig, "imported signing config", nil
}

// loadKeyless returns the signer of a keyless signature.
func (o *signFlags) loadKeyless(s streams) (signer.Signer, error) {
	root, config, from, err := o.instance()
	if err != nil {
		return nil, err
	}
	instance, err := signer.ReadInstance(config, time.Now())
	if err != nil {
		return nil, usagef("%s: %w", from, err)
	}
	source, err := o.identity.source(s, instance.Issuer, o.Timeout)
	if err != nil {
		return nil, err
	}
	by, err := signer.NewKeyless(signer.KeylessOptions{
		Token: o.identity.identified(s, source, instance), TrustedRoot: root, SigningConfig: config, Timeout: o.Timeout,
	})
	if err != nil {
		return nil, usageError{err}
	}
	return by, nil
}
