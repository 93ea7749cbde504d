package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

// errAbsent is a mirror's answer that it has no such file.
var errAbsent = errors.New("there is no such file")

// mirror reads the files of a TUF repository. Nothing that it says is believed before it was verified.
type mirror struct {
	base    *url.URL
	client  *http.Client
	timeout time.Duration
}

// newMirror errs where the address is no HTTP URL. Plain HTTP is good enough: what comes is signed, and nothing secret
// goes out.
func newMirror(address string, o UpdateOptions) (*mirror, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrAddress, err)
	}
	if u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("%w: %q is no plain https URL", ErrAddress, address)
	}
	if o.Timeout < 0 {
		return nil, fmt.Errorf("timeout %s is negative", o.Timeout)
	}
	if o.Timeout == 0 {
		o.Timeout = DefaultTimeout
	}
	if o.Transport == nil {
		o.Transport = http.DefaultTransport
	}
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &mirror{u, &http.Client{Transport: o.Transport, CheckRedirect: stay}, o.Timeout}, nil
}

// get reads a file of at most that many bytes. A redirect is not followed: whoever runs a mirror elsewhere can say so.
func (m *mirror) get(ctx context.Context, name string, most int64) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, m.timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, m.base.JoinPath(name).String(), nil)
	if err != nil {
		return nil, fmt.Errorf("fetch %s: %w", name, err)
	}
	resp, err := m.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("fetch %s: %w", name, err)
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusOK:
	case http.StatusNotFound, http.StatusForbidden: // object stores that may not be listed answer 403
		return nil, fmt.Errorf("fetch %s: %w (%s)", name, errAbsent, resp.Status)
	default:
		return nil, fmt.Errorf("fetch %s: the mirror answers %s", name, resp.Status)
	}
	data, err := io.ReadAll(io.LimitReader(resp.Body, most+1))
	if err != nil {
		return nil, fmt.Errorf("fetch %s: %w", name, err)
	}
	if int64(len(data)) > most {
		return nil, fmt.Errorf("fetch %s: more than %d bytes", name, most)
	}
	return data, nil
}
