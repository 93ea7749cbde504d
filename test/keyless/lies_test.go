package keyless

import (
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/hallmark-project/hallmark/test/lab"
	"github.com/hallmark-project/hallmark/test/lab/sigstore"
)

// earlier gives a server's first answer to every later request too: a real answer of the right server, to another
// question.
func earlier() lab.Fault {
	var once sync.Once // an artifact's two bundles are made at the same time
	var first *lab.Answer
	return lab.Fault{Name: "answers as before", Do: func(x *lab.Exchange) {
		once.Do(func() { first = x.Ask() })
		x.Give(&lab.Answer{Status: first.Status, Header: first.Header.Clone(), Body: first.Body})
	}}
}

// of has another server answer: a sound answer, by somebody who isn't trusted here.
func of(other http.Handler) lab.Fault {
	return lab.Fault{Name: "another answers", Do: func(x *lab.Exchange) { other.ServeHTTP(x.Writer, x.Request) }}
}

// TestKeylessRefusesAnswersToOtherQuestions replays answers: a certificate for another key, a timestamp on another
// signature, a log entry for another payload, key and signature.
func TestKeylessRefusesAnswersToOtherQuestions(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		server sigstore.Server
		says   []string
	}{
		{sigstore.Fulcio, []string{"get a certificate from", "certificate is for another key than ours"}},
		{sigstore.TSA, []string{"get a timestamp from", "timestamp does not hold: it is on another message"}},
		{sigstore.Rekor, []string{"log the signature at", "log entry: "}},
	} {
		t.Run(test.server.String(), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, sigstore.Options{})
			w.proxies[test.server].Set(lab.Rule{Fault: earlier()})
			ref := "oci:" + t.TempDir() + "/layout:v1"
			if a := w.hallmark("push", w.model, ref); a.code != 0 {
				t.Fatalf("push: exit %d\n%s", a.code, a.err)
			}
			if test.server == sigstore.Fulcio { // asked once an artifact: the first answer is for an earlier one
				if a := w.sign(ref); a.code != 0 {
					t.Fatalf("the first time: exit %d\n%s", a.code, a.err)
				}
			}
			w.failed(w.sign(w.model), test.says...)
			w.mustSign()
		})
	}
}

// TestKeylessRefusesServersOfOthers has each server's answers come from another Sigstore, sound in themselves.
func TestKeylessRefusesServersOfOthers(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		server sigstore.Server
		says   []string
	}{
		{sigstore.Fulcio, []string{"get a certificate from", "certificate is not by an authority of the trusted root"}},
		{sigstore.TSA, []string{"get a timestamp from", "timestamp does not hold: it is by no authority"}},
		{sigstore.Rekor, []string{"log the signature at", "log entry: "}},
	} {
		t.Run(test.server.String(), func(t *testing.T) {
			t.Parallel()
			w, other := newWorld(t, sigstore.Options{}), newWorld(t, sigstore.Options{})
			w.proxies[test.server].Set(lab.Rule{Fault: of(other.proxies[test.server])})
			token := w.tokenFile(sigstore.TokenOptions{})
			if test.server == sigstore.Fulcio {
				token = other.tokenFile(sigstore.TokenOptions{}) // so that it issues a certificate at all
			}
			w.failed(w.signWith(token, w.model), test.says...)
			if test.server != sigstore.Rekor && w.asked(sigstore.Rekor) != 0 {
				t.Error("something was logged that nobody could verify")
			}
			w.mustSign()
		})
	}
}

// TestKeylessRefusesCertificatesWithoutTransparency: Fulcio embeds what the log says, and can be run without one. Nothing
// is published under a certificate that no trusted log promised to show.
func TestKeylessRefusesCertificatesWithoutTransparency(t *testing.T) {
	t.Parallel()
	refused := func(w *world, says string) {
		t.Helper()
		w.clearFaults()
		w.failed(w.sign(w.model, "--timeout", "5s"), "get a certificate from", says)
		if n := w.asked(sigstore.TSA) + w.asked(sigstore.Rekor); n != 0 {
			t.Errorf("%s: %d requests followed", says, n)
		}
	}
	refused(newWorld(t, sigstore.Options{WithoutCTLog: true}), "certificate transparency")

	w := newWorld(t, sigstore.Options{})
	w.SignPromisesAsStranger(true)
	refused(w, "certificate transparency")
	w.SignPromisesAsStranger(false)

	w.RefusePromises(true) // Fulcio goes on asking
	refused(w, "no answer within 5s")
	w.RefusePromises(false)
	w.mustSign()
}

// TestKeylessSignsAgainWhatALogHas: an answer that was lost on its way makes the next try a duplicate, which Rekor v2
// refuses without saying where the entry is.
func TestKeylessSignsAgainWhatALogHas(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sigstore.Options{})
	lost := lab.Fault{Name: "lost", Do: func(x *lab.Exchange) { x.Ask(); x.Reset() }}
	var duplicates atomic.Int32
	count := lab.Fault{Name: "counted", Do: func(x *lab.Exchange) {
		a := x.Ask()
		if a.Status == http.StatusConflict {
			duplicates.Add(1)
		}
		x.Give(a)
	}}
	w.proxies[sigstore.Rekor].Set(lab.Rule{Fault: lost, At: 1}, lab.Rule{Fault: count})
	if a := w.sign(w.model); a.code != 0 {
		t.Fatalf("exit %d\n%s", a.code, a.err)
	}
	// The entry and its repetition, the same signed again, the other bundle's.
	if got := w.asked(sigstore.Rekor); duplicates.Load() != 1 || got != 4 {
		t.Errorf("%d duplicates in %d requests, want 1 in 4", duplicates.Load(), got)
	}
	if got := w.asked(sigstore.TSA); got != 3 {
		t.Errorf("%d timestamps, want one for each of three signatures", got)
	}
	if a := w.verify(w.model, "--offline"); a.code != 0 || !strings.HasPrefix(a.out, "yes ") {
		t.Errorf("verify: exit %d\n%s%s", a.code, a.out, a.err)
	}
}
