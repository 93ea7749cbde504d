// Command labsigstore brings up a whole Sigstore on loopback, for people and scripts. It has three verbs:
//
//	labsigstore install             builds the servers into the user's cache folder
//	labsigstore serve DIR           runs them until it is interrupted; DIR/env says where everything is, once it is up
//	labsigstore token ISSUER EMAIL  prints an identity token from a running world's provider
//
// It is for trying and testing: the provider vouches for any name.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/hallmark-project/hallmark/test/lab/sigstore"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "labsigstore:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	switch {
	case len(args) == 1 && args[0] == "install":
		_, err := sigstore.Install(ctx)
		return err
	case len(args) == 2 && args[0] == "serve":
		return serve(ctx, args[1], out)
	case len(args) == 3 && args[0] == "token":
		return token(ctx, args[1], args[2], out)
	}
	return errors.New("usage: labsigstore install | serve DIR | token ISSUER EMAIL")
}

// serve runs a world until ctx is done. The file env is there once all servers are: a script can wait for it, and read
// it with the shell's dot.
func serve(ctx context.Context, dir string, out io.Writer) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	tools, err := sigstore.Install(ctx)
	if err != nil {
		return err
	}
	w, err := sigstore.Start(ctx, tools, sigstore.Options{Dir: dir})
	if err != nil {
		return err
	}
	var env strings.Builder
	for _, v := range [][2]string{
		{"TRUSTED_ROOT", w.TrustedRoot}, {"SIGNING_CONFIG", w.SigningConfig}, {"ISSUER", w.Issuer},
		{"FULCIO_URL", w.URL(sigstore.Fulcio)}, {"REKOR_URL", w.URL(sigstore.Rekor)}, {"TSA_URL", w.URL(sigstore.TSA)},
	} {
		fmt.Fprintf(&env, "%s='%s'\n", v[0], strings.ReplaceAll(v[1], "'", `'\''`))
	}
	if err := announce(filepath.Join(dir, "env"), env.String(), out); err != nil {
		return errors.Join(err, w.Stop())
	}
	<-ctx.Done()
	return w.Stop()
}

// announce writes the file under its name once it is whole, and says the same.
func announce(path, env string, out io.Writer) error {
	half := path + ".tmp"
	if err := os.WriteFile(half, []byte(env), 0o644); err != nil {
		return err
	}
	if err := os.Rename(half, path); err != nil {
		return err
	}
	_, err := io.WriteString(out, env)
	return err
}

const maxAnswer = 1 << 16 // bytes of the token endpoint's answer

// token asks for a token as a login with a password does; the provider wants none.
func token(ctx context.Context, issuer, email string, out io.Writer) error {
	form := url.Values{"grant_type": {"password"}, "username": {email}, "scope": {"openid email"}}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, issuer+"/token", strings.NewReader(form.Encode()))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return fmt.Errorf("get a token from %s: %w", issuer, err)
	}
	defer resp.Body.Close()
	var answer struct {
		Token string `json:"id_token"`
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxAnswer)).Decode(&answer); err != nil {
		return fmt.Errorf("get a token from %s: %w", issuer, err)
	}
	if answer.Token == "" {
		return fmt.Errorf("get a token from %s: the answer was %s, without one", issuer, resp.Status)
	}
	_, err = fmt.Fprintln(out, answer.Token)
	return err
}
