package token

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
)

// Caps on what is taken from an issuer.
const (
	maxAnswer  = 256 << 10 // bytes
	maxMessage = 300       // bytes of a program's complaint
	maxCode    = 64        // bytes of an OAuth error code
)

// tries is how often a request is sent that meets an overloaded or failing server. The pause between doubles from
// firstPause.
const (
	tries      = 3
	firstPause = time.Second
)

// statusError is an answer without a token. Of its body only an OAuth error code is shown: a careless server could repeat
// there what it was sent.
type statusError struct {
	status int
	code   string // RFC 6749 §5.2, such as "invalid_grant"; may be empty
}

func (e *statusError) Error() string {
	text := fmt.Sprintf("the answer was %d %s", e.status, http.StatusText(e.status))
	if e.status >= 300 && e.status < 400 {
		text += ": redirects are not followed"
	}
	if e.code != "" {
		text += fmt.Sprintf(": %q", e.code)
	}
	return text
}

// passing reports whether the server may say something else in a moment.
func (e *statusError) passing() bool {
	return e.status >= 500 || e.status == http.StatusTooManyRequests
}

// secretURL parses the URL of a server that is sent a secret, or is believed for being who it is: https, or loopback.
func secretURL(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return nil, errors.New("it is no URL")
	case u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		return nil, errors.New("it is no https URL")
	case u.User != nil || u.Fragment != "":
		return nil, fmt.Errorf("at %q: a URL with user or fragment is not used", u.Host)
	case u.Scheme == "http" && !isLoopback(u.Hostname()):
		return nil, fmt.Errorf("%q would be spoken to in the clear: https is needed", u.Host)
	}
	return u, nil
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// get asks until the server answers with 200 or has nothing more to say.
func (o Options) get(ctx context.Context, u *url.URL, header http.Header) ([]byte, http.Header, error) {
	for try, wait := 1, firstPause; ; try, wait = try+1, 2*wait {
		answer, got, err := o.once(ctx, http.MethodGet, u, header, "")
		var status *statusError
		final := errors.As(err, &status) && !status.passing() || errors.Is(err, errTooLong)
		if err == nil || final || try == tries || ctx.Err() != nil || o.pause(ctx, wait) != nil {
			return answer, got, err
		}
	}
}

// post sends a form, once: a code is good for one exchange.
func (o Options) post(ctx context.Context, u *url.URL, form url.Values) ([]byte, error) {
	header := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}, "Accept": {"application/json"}}
	answer, _, err := o.once(ctx, http.MethodPost, u, header, form.Encode())
	return answer, err
}

var errTooLong = fmt.Errorf("the answer is longer than %d bytes", maxAnswer)

// once makes one exchange. Going straight to the transport, it follows no redirect.
func (o Options) once(ctx context.Context, method string, u *url.URL, header http.Header, body string) ([]byte, http.Header, error) {
	answer, got, err := o.exchange(ctx, method, u, header, body)
	if err != nil {
		return nil, nil, fmt.Errorf("ask %q: %w", u.Host, err)
	}
	return answer, got, nil
}

func (o Options) exchange(ctx context.Context, method string, u *url.URL, header http.Header, body string) ([]byte, http.Header, error) {
	req, err := http.NewRequestWithContext(ctx, method, u.String(), strings.NewReader(body))
	if err != nil {
		return nil, nil, errors.New("the request cannot be made") // the cause could quote a header
	}
	req.Header = header.Clone()
	transport := o.Transport
	if transport == nil {
		transport = http.DefaultTransport
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		return nil, nil, err
	}
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		return nil, nil, fmt.Errorf("read the answer: %w", err)
	}
	switch {
	case resp.StatusCode != http.StatusOK:
		return nil, nil, &statusError{resp.StatusCode, errorCode(answer)}
	case len(answer) > maxAnswer:
		return nil, nil, errTooLong
	}
	return answer, resp.Header, nil
}

// errorCode is the OAuth error code in an answer, if there is one that looks like one.
func errorCode(answer []byte) string {
	var a struct {
		Error string `json:"error"`
	}
	if json.Unmarshal(answer, &a) != nil || len(a.Error) > maxCode || strings.Trim(a.Error, "abcdefghijklmnopqrstuvwxyz_") != "" {
		return ""
	}
	return a.Error
}
