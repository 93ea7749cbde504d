package sigstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

// Server is one of the three servers of a Sigstore.
type Server int

// The servers, in the order in which a signer asks them: for a certificate, a timestamp, a log entry.
const (
	Fulcio Server = iota
	TSA
	Rekor
	servers
)

// String is the server's name.
func (s Server) String() string { return [servers]string{"fulcio", "timestamp-server", "rekor"}[s] }

// Options are what can be chosen about a World. The zero value is fine.
type Options struct {
	// Dir is the folder for trust roots, keys and the servers' output; empty: one of its own, which Stop removes.
	Dir string

	// Front returns what stands before a server: it gets every request that a signer makes, and can pass it on to next.
	// nil: nothing does.
	Front func(s Server, next http.Handler) http.Handler

	// WithoutCTLog has Fulcio issue certificates that no transparency log was told of.
	WithoutCTLog bool

	// SharedNetwork has the servers run in the machine's network even where they could have one of their own.
	SharedNetwork bool
}

// World is a running Sigstore. Its methods may be used by several goroutines.
type World struct {
	Dir           string // the folder with all of it
	TrustedRoot   string // path of trusted_root.json: whom a verifier believes
	SigningConfig string // path of signing_config.json: which servers a signer asks
	Issuer        string // the identity provider's URL
	StandIn       bool   // whether a stand-in in this process issues the timestamps: see Start

	pki     *pki
	issuer  *issuer
	ctlog   *ctLog
	space   *space
	fronts  [servers]string // URLs at which signers reach the servers
	running []*process
	local   []*http.Server
	dial    *http.Transport
	own     bool // the folder goes with the world
}

// startUp is how long all servers together may take until they answer.
const startUp = time.Minute

// tries is how often a start is tried where ports are taken.
const tries = 3

// Start starts a Sigstore and returns it once every server says that it is healthy: usually within a second. ctx is for
// the start alone; Stop ends what Start started.
//
// Worlds that run at the same time don't disturb each other. The timestamp server insists on port 2112 for its metrics,
// though: where the world has no network namespace of its own and somebody has that port, a stand-in with the same key
// issues the timestamps, and the field of that name says so.
//
// Certificates are valid from a day before to a day after now.
func Start(ctx context.Context, t Tools, o Options) (*World, error) {
	ctx, cancel := context.WithTimeout(ctx, startUp)
	defer cancel()
	for try := 1; ; try++ {
		w := &World{Dir: o.Dir, ctlog: new(ctLog), space: new(space)}
		err := w.start(ctx, t, o)
		if err == nil {
			return w, nil
		}
		if try == tries || !errors.Is(err, errTaken) {
			return nil, errors.Join(fmt.Errorf("start sigstore: %w", err), w.Stop())
		}
		// A port that was free when it was chosen was taken before its server had it: others will do.
		if err := errors.Join(w.Stop(), os.RemoveAll(filepath.Join(w.Dir, "rekor"))); err != nil {
			return nil, fmt.Errorf("start sigstore again: %w", err)
		}
	}
}

func (w *World) start(ctx context.Context, t Tools, o Options) (err error) {
	if w.Dir == "" {
		if w.Dir, err = os.MkdirTemp("", "hallmark-sigstore-"); err != nil {
			return err
		}
		w.own = true
	}
	if !o.SharedNetwork {
		w.space = newSpace()
	}
	w.dial = w.space.transport()
	if w.pki, err = newPKI(time.Now()); err != nil {
		return err
	}
	w.ctlog.key.Store(w.pki.ctlog)
	if err := w.startIssuer(); err != nil {
		return fmt.Errorf("identity provider: %w", err)
	}
	ports, err := w.startServers(ctx, t, o)
	if err != nil {
		return err
	}
	for s, port := range ports {
		front := reverse(w.dial, port)
		if o.Front != nil {
			front = o.Front(Server(s), front)
		}
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		w.serve(l, front)
		w.fronts[s] = "http://" + l.Addr().String()
	}
	w.TrustedRoot, w.SigningConfig = filepath.Join(w.Dir, "trusted_root.json"), filepath.Join(w.Dir, "signing_config.json")
	return errors.Join(w.pki.writeTrustedRoot(w.TrustedRoot), w.writeSigningConfig(w.SigningConfig))
}

// startIssuer serves the identity provider at one URL that is good in the space and outside.
func (w *World) startIssuer() error {
	var err error
	if w.issuer, err = newIssuer(); err != nil {
		return err
	}
	outside, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	w.Issuer = "http://" + outside.Addr().String()
	w.issuer.url = w.Issuer
	handler, err := w.issuer.handler()
	if err != nil {
		return errors.Join(err, outside.Close())
	}
	w.serve(outside, handler)
	if !w.space.private() {
		return nil
	}
	inside, err := w.space.listen(outside.Addr().(*net.TCPAddr).Port)
	if err != nil {
		return err
	}
	w.serve(inside, handler)
	return nil
}

// serve serves a handler until Stop.
func (w *World) serve(l net.Listener, h http.Handler) {
	s := &http.Server{Handler: h, ReadHeaderTimeout: startUp, ErrorLog: log.New(io.Discard, "", 0)}
	w.local = append(w.local, s)
	go func() { _ = s.Serve(l) }()
}

// Stop ends every server, by its process, and removes the folder if Start made it. A second Stop does nothing.
func (w *World) Stop() error {
	var errs []error
	for _, s := range w.local {
		errs = append(errs, s.Close())
	}
	for _, p := range w.running {
		p.stop()
	}
	if w.dial != nil {
		w.dial.CloseIdleConnections()
		w.space.close()
	}
	if w.own {
		errs = append(errs, os.RemoveAll(w.Dir))
	}
	w.local, w.running, w.dial, w.own = nil, nil, nil, false
	return errors.Join(errs...)
}

// URL is where signers reach a server; for the timestamp authority without the path.
func (w *World) URL(s Server) string { return w.fronts[s] }

// Token returns an identity token for an e-mail address, good for ten minutes unless the options make it otherwise.
func (w *World) Token(email string, o TokenOptions) (string, error) { return w.issuer.token(email, o) }

// SignPromisesAsStranger has the certificate-transparency log sign with a key that no verifier trusts, or with its own
// again.
func (w *World) SignPromisesAsStranger(on bool) {
	key := w.pki.ctlog
	if on {
		key = w.pki.strange
	}
	w.ctlog.key.Store(key)
}

// RefusePromises has the certificate-transparency log answer 503, or answer again.
func (w *World) RefusePromises(on bool) { w.ctlog.refuses.Store(on) }
