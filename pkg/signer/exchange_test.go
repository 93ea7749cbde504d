package signer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"
)

// hang answers only once the request is given up, and tells arrived that it came.
func hang(arrived chan<- struct{}) http.HandlerFunc {
	return func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // only then does the server notice that the client has gone
		arrived <- struct{}{}
		<-r.Context().Done()
	}
}

// servers are the parts of the world by the step that asks them.
var servers = []struct {
	part, path, step string
	rekor            int
}{
	{"fulcio", "/fulcio", "get a certificate from", 2},
	{"tsa", "/tsa", "get a timestamp from", 2},
	{"rekor1", "/rekor1", "log the signature at", 1},
	{"rekor2", "/rekor2", "log the signature at", 2},
}

// failed checks that err blames the right server for the right step, and shows no token.
func failed(t *testing.T, w *world, part int, err error, says string) {
	t.Helper()
	refused(t, err, says)
	var server *ServerError
	if !errors.As(err, &server) {
		t.Errorf("%s: %v is no ServerError", servers[part].part, err)
		return
	}
	if server.Step != servers[part].step || server.Server != w.server.URL+servers[part].path {
		t.Errorf("blames %q %q, want %q %q", server.Step, server.Server, servers[part].step, w.server.URL+servers[part].path)
	}
	refused(t, err, fmt.Sprintf("%s %q: ", server.Step, server.Server))
	for piece := range strings.SplitSeq(token(worldTime.Add(time.Minute)), ".") {
		if strings.Contains(err.Error(), piece[:minSecret]) {
			t.Errorf("error shows the token: %v", err)
		}
	}
}

func TestKeylessNamesTheServerThatFailed(t *testing.T) {
	abort := func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
	long := strings.Repeat("x", maxAnswer)
	tests := []struct {
		says string
		with http.HandlerFunc
	}{
		{"403 Forbidden", answer(http.StatusForbidden, `{"message":"no"}`)},
		{"404 Not Found", answer(http.StatusNotFound, "")},
		{"418 I'm a teapot", answer(http.StatusTeapot, long)},
		{"302 Found", answer(http.StatusFound, "")},
		{"204 No Content", answer(http.StatusNoContent, "")},
		{`429 Too Many Requests: "wait a minute"`, answer(http.StatusTooManyRequests, "wait a minute")},
		{`\u202e\x1b[31m`, answer(http.StatusBadRequest, "\u202e\x1b[31m")},
		{"EOF", abort},
	}
	for i, server := range servers {
		w := newWorld(t)
		s := w.signer(w.options(server.rekor))
		for _, test := range tests {
			w.next(server.part, test.with, test.with, test.with)
			_, err := s.Sign(t.Context(), inToto, []byte(statement))
			failed(t, w, i, err, test.says)
			if err != nil && (strings.ContainsAny(err.Error(), "\x1b\u202e\n") || len(err.Error()) > 3*maxMessage) {
				t.Errorf("%s: error has control characters or %d bytes: %q", server.part, len(err.Error()), err)
			}
			w.next(server.part)
		}
		mustSign(t, s, statement)
	}
}

func TestKeylessRefusesAnswersTooLongOrUnreadable(t *testing.T) {
	for i, server := range servers {
		w := newWorld(t)
		s := w.signer(w.options(server.rekor))
		status := http.StatusCreated
		if server.part == "fulcio" {
			status = http.StatusOK
		}
		w.next(server.part, answer(status, `"`+strings.Repeat("x", maxAnswer)))
		_, err := s.Sign(t.Context(), inToto, []byte(statement))
		failed(t, w, i, err, "longer than 1048576 bytes")
		w.next(server.part, answer(status, "}gar\x1bbage{"))
		_, err = s.Sign(t.Context(), inToto, []byte(statement))
		failed(t, w, i, err, "")
		if err != nil && strings.Contains(err.Error(), "\x1b") {
			t.Errorf("%s: error has a control character: %q", server.part, err)
		}
		mustSign(t, s, statement)
	}
}

func TestKeylessRefusesHollowAnswers(t *testing.T) {
	// Well-formed JSON without the members that the libraries take for granted.
	uuid := strings.Repeat("0", 64)
	v1 := func(entry string) http.HandlerFunc {
		return func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("ETag", uuid)
			answer(http.StatusCreated, `{"`+uuid+`":`+entry+`}`)(rw, r)
		}
	}
	const shell = `{"body":"e30=","integratedTime":1,"logIndex":1,"logID":"00","verification":`
	w := newWorld(t)
	for _, test := range []struct {
		part int
		with http.HandlerFunc
		says string
	}{
		{0, answer(http.StatusOK, `{}`), "no certificates"},
		{0, answer(http.StatusOK, `{"signedCertificateEmbeddedSct":{"chain":{"certificates":["x"]}}}`), "unable to parse"},
		{0, answer(http.StatusOK, `{"signedCertificateEmbeddedSct":{"chain":{"certificates":["-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]}}}`), "decode certificate"},
		{1, answer(http.StatusCreated, "0\x03\x02\x01\x00"), ""},
		{2, answer(http.StatusCreated, `{}`), "does not hold the entry"},
		{2, v1(`{}`), "incomplete"},
		{2, v1(`null`), "incomplete"},
		{2, v1(shell + `null}`), "no inclusion proof"},
		{2, v1(shell + `{"inclusionProof":{}}}`), "inclusion proof is incomplete"},
		{2, v1(shell + `{"inclusionProof":{"logIndex":1,"rootHash":"00","treeSize":1,"hashes":[],"checkpoint":"x"}}}`), ""},
		{3, answer(http.StatusCreated, `{}`), "log entry"},
	} {
		w.next(servers[test.part].part, test.with)
		_, err := w.signer(w.options(servers[test.part].rekor)).Sign(t.Context(), inToto, []byte(statement))
		failed(t, w, test.part, err, test.says)
	}
	for _, server := range servers {
		mustSign(t, w.signer(w.options(server.rekor)), statement)
	}
}

func TestKeylessTriesAgainWhenAServerFails(t *testing.T) {
	for i, server := range servers {
		w := newWorld(t)
		var pauses []time.Duration
		s := w.signer(w.options(server.rekor))
		s.(*keyless).pause = func(_ context.Context, d time.Duration) error { pauses = append(pauses, d); return nil }
		down := answer(http.StatusServiceUnavailable, "down for maintenance")
		w.next(server.part, down, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
		if err := opens(t, w, mustSign(t, s, statement)); err != nil {
			t.Errorf("%s: %v", server.part, err)
		}
		if w.asked(server.part) != tries || len(pauses) != 2 || pauses[0] != firstPause || pauses[1] != 2*firstPause {
			t.Errorf("%s: %d requests with pauses %v", server.part, w.asked(server.part), pauses)
		}
		w.next(server.part, down, down, down)
		_, err := w.signer(w.options(server.rekor)).Sign(t.Context(), inToto, []byte(statement))
		failed(t, w, i, err, `503 Service Unavailable: "down for maintenance"`)
	}
}

// TestKeylessWaitsAsLongAsAServerAsks has each server of a signature be busy once and say until when.
func TestKeylessWaitsAsLongAsAServerAsks(t *testing.T) {
	busy := func(status int, after string) http.HandlerFunc {
		return func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("Retry-After", after)
			answer(status, "busy")(rw, r)
		}
	}
	for name, c := range map[string]struct {
		status  int
		after   string
		timeout time.Duration
		wait    time.Duration // 0: there is no second request
	}{
		"longer than the pause":  {429, "7", 0, 7 * time.Second},
		"shorter than the pause": {503, "0", 0, firstPause},
		"as long as may be":      {503, "60", 0, time.Minute},
		"too long":               {503, "61", 0, 0},
		"longer than the step":   {429, "31", 30 * time.Second, 0},
		"where nothing passes":   {403, "1", 0, 0},
	} {
		for i, server := range servers {
			w := newWorld(t)
			o := w.options(server.rekor)
			o.Timeout = c.timeout
			s := w.signer(o)
			var pauses []time.Duration
			s.(*keyless).pause = func(_ context.Context, d time.Duration) error { pauses = append(pauses, d); return nil }
			w.next(server.part, busy(c.status, c.after))
			raw, err := s.Sign(t.Context(), inToto, []byte(statement))
			if c.wait > 0 {
				if err != nil || opens(t, w, raw) != nil || !slices.Equal(pauses, []time.Duration{c.wait}) {
					t.Errorf("%s, %s: pauses %v: %v", name, server.part, pauses, err)
				}
				continue
			}
			wait, _ := time.ParseDuration(c.after + "s")
			failed(t, w, i, err, fmt.Sprintf("(try again after %s)", wait))
			if len(pauses) > 0 || w.asked(server.part) != 1 {
				t.Errorf("%s, %s: %d requests with pauses %v", name, server.part, w.asked(server.part), pauses)
			}
		}
	}
}

// TestKeylessTriesAgainWhatSaysNothingAgainstTheRequest tells statuses below 500 apart: some are about the moment alone.
func TestKeylessTriesAgainWhatSaysNothingAgainstTheRequest(t *testing.T) {
	for status, again := range map[int]bool{400: false, 401: false, 404: false, 408: true, 429: true, 499: true} {
		for i, server := range servers {
			w := newWorld(t)
			w.next(server.part, answer(status, "not now"))
			raw, err := w.signer(w.options(server.rekor)).Sign(t.Context(), inToto, []byte(statement))
			if !again {
				failed(t, w, i, err, "not now")
			} else if err != nil || opens(t, w, raw) != nil || w.asked(server.part) < 2 {
				t.Errorf("%s, %d: %v after %d requests", server.part, status, err, w.asked(server.part))
			}
		}
	}
}

func TestKeylessStepTimesOut(t *testing.T) {
	for i, server := range servers {
		w := newWorld(t)
		k := w.signer(w.options(server.rekor)).(*keyless)
		mustSign(t, k, statement) // nothing hangs yet
		id := k.current.Swap(nil)
		arrived := make(chan struct{}, tries)
		w.next(server.part, hang(arrived), hang(arrived), hang(arrived))

		// The step alone, lest the short timeout be over for another one on a busy machine.
		k.timeout = 30 * time.Millisecond
		at := w.server.URL + server.path
		var err error
		switch server.part {
		case "fulcio":
			_, err = k.identity(t.Context(), at)
		case "tsa":
			_, err = k.timestamp(t.Context(), at, []byte("signature"), w.root)
		default:
			chosen, noChoice := selectServices(k.config, w.time())
			if noChoice != nil {
				t.Fatal(noChoice)
			}
			err = k.log(t.Context(), chosen.logs[0], certificatePEM(id.leaf), unlogged(t, id))
		}
		failed(t, w, i, err, "no answer within 30ms")
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v does not wrap DeadlineExceeded", server.part, err)
		}
	}
}

func TestKeylessCancelReturnsPromptly(t *testing.T) {
	for i, server := range servers {
		w := newWorld(t)
		arrived := make(chan struct{}, tries)
		w.next(server.part, hang(arrived))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		s := w.signer(w.options(server.rekor)) // with the default timeout of minutes: the test would time out
		go func() {
			_, err := s.Sign(ctx, inToto, []byte(statement))
			done <- err
		}()
		<-arrived
		cancel()
		err := <-done
		failed(t, w, i, err, context.Canceled.Error())
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v does not wrap Canceled", server.part, err)
		}
		mustSign(t, s, statement)
	}
}

func TestKeylessWaitForACertificateCanBeCancelled(t *testing.T) {
	w := newWorld(t)
	arrived := make(chan struct{}, tries)
	w.next("fulcio", hang(arrived))
	s := w.signer(w.options(2))
	first, giveUp := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = s.Sign(first, inToto, []byte(statement))
	}()
	<-arrived
	second, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Sign(second, inToto, []byte(statement)); !errors.Is(err, context.Canceled) {
		t.Errorf("second in line: %v", err)
	}
	giveUp()
	<-done
}

func TestKeylessFollowsNoRedirectWithTheToken(t *testing.T) {
	for _, status := range []int{http.StatusTemporaryRedirect, http.StatusPermanentRedirect, http.StatusSeeOther} {
		w := newWorld(t)
		reached := make(chan string, tries)
		thief := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			reached <- r.Header.Get("Authorization")
		}))
		w.next("fulcio", func(rw http.ResponseWriter, r *http.Request) {
			http.Redirect(rw, r, thief.URL, status)
		})
		s := w.signer(w.options(2))
		_, err := s.Sign(t.Context(), inToto, []byte(statement))
		failed(t, w, 0, err, http.StatusText(status))
		thief.Close()
		if len(reached) != 0 {
			t.Errorf("%d: the redirect was followed", status)
		}
		mustSign(t, s, statement)
	}
}

func TestKeylessErrorsNeverShowTheToken(t *testing.T) {
	// A server that repeats what it was sent, whole, in part, and cut off by our own cap.
	for _, body := range []func(token string) string{
		func(token string) string { return token },
		func(token string) string { return `{"message":"bad token ` + token[len(token)-30:] + `"}` },
		func(token string) string { return `{"message":"` + token[5:40] + `","cut":"` + token },
		func(token string) string { return strings.Repeat("z", maxMessage-20) + token },
	} {
		w := newWorld(t)
		w.next("fulcio", func(rw http.ResponseWriter, r *http.Request) {
			answer(http.StatusUnauthorized, body(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")))(rw, r)
		})
		_, err := w.signer(w.options(2)).Sign(t.Context(), inToto, []byte(statement))
		failed(t, w, 0, err, "401 Unauthorized")
		refused(t, err, "[redacted]")
	}
}

func TestRedactLeavesOtherTextAlone(t *testing.T) {
	const secret = "0123456789abcdefghijklmnop"
	for text, want := range map[string]string{
		"":                                       "",
		"nothing to hide here, not even much":    "nothing to hide here, not even much",
		"short: 0123456789abcde":                 "short: 0123456789abcde",
		"cut: 0123456789abcdef":                  "cut: [redacted]",
		"a " + secret + " b " + secret[4:] + ".": "a [redacted] b [redacted].",
	} {
		if got := redact(text, secret); got != want {
			t.Errorf("redact(%q) is %q, want %q", text, got, want)
		}
	}
	if got := redact("abc", ""); got != "abc" {
		t.Errorf("no secret: %q", got)
	}
}
