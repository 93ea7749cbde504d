package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
)

// mounter is a store that may take a blob from another of its repositories instead of from the client.
type mounter interface {
	// mountBlob is putBlob, unless the blob can be had from one of the repositories named in from.
	mountBlob(ctx context.Context, d Descriptor, from []string, open func() (io.ReadCloser, error)) (mounted bool, err error)
}

func (r *remote) putBlob(ctx context.Context, d Descriptor, open func() (io.ReadCloser, error)) error {
	_, err := r.mountBlob(ctx, d, nil, open)
	return err
}

// mountBlob mounts or uploads. An upload that broke is begun again from its source, unless the registry got all of it
// and only its answer was lost.
func (r *remote) mountBlob(ctx context.Context, d Descriptor, from []string, open func() (io.ReadCloser, error)) (mounted bool, err error) {
	first := true
	err = r.client.retry(ctx, func() error {
		if !first {
			if there, err := r.lookBlob(ctx, d); err != nil || there {
				return err
			}
		}
		first = false
		at, err := r.mount(ctx, d, from)
		if err == nil && at == nil {
			at, err = r.startUpload(ctx, nil, access{push: true})
		}
		if err != nil {
			return err
		}
		if mounted = at == mountedHere; mounted {
			return nil
		}
		return r.upload(ctx, at, d, open)
	})
	return mounted, err
}

// mountedHere stands for the upload of a blob that is there already.
var mountedHere = new(url.URL)

// mount asks for the blob from one repository after the other. A registry that cannot or does not want to mount opens an
// upload instead (distribution-spec 1.1, Mounting a blob from another repository), which is as good as any; one that
// refuses to look there is not asked again. nil means that nothing came of it.
func (r *remote) mount(ctx context.Context, d Descriptor, from []string) (*url.URL, error) {
	for i, repository := range from {
		at, err := r.startUpload(ctx, url.Values{"mount": {d.Digest}, "from": {repository}}, access{push: true, from: repository})
		if _, wait := temporary(err); err != nil && !isRefusal(err) || wait {
			return nil, err
		}
		if err == nil && (at == mountedHere || i == len(from)-1) {
			return at, nil
		}
	}
	return nil, nil
}

// startUpload opens an upload and returns where it goes.
func (r *remote) startUpload(ctx context.Context, query url.Values, to access) (*url.URL, error) {
	target := r.under("blobs", "uploads", "")
	target.RawQuery = query.Encode()
	resp, err := r.client.do(ctx, call{method: http.MethodPost, url: target, access: to})
	if err != nil {
		return nil, err
	}
	switch {
	case resp.StatusCode == http.StatusCreated && query.Has("mount"):
		drain(resp)
		return mountedHere, nil
	case resp.StatusCode != http.StatusAccepted:
		return nil, refusal(resp)
	}
	drain(resp)
	return location(resp)
}

// location returns where an upload goes on.
func location(resp *http.Response) (*url.URL, error) {
	at, err := resp.Request.URL.Parse(resp.Header.Get("Location"))
	if err != nil || resp.Header.Get("Location") == "" {
		return nil, fmt.Errorf("registry opens an upload at %q, which is no address", resp.Header.Get("Location"))
	}
	return at, nil
}

// upload sends a blob in one piece (distribution-spec 1.1, POST then PUT). The bytes are checked on their way, and the
// last of them leave only if all are right.
func (r *remote) upload(ctx context.Context, at *url.URL, d Descriptor, open func() (io.ReadCloser, error)) error {
	if d.Size == 0 { // no body is sent, so nothing would look at it
		if err := checkSum(nil, d.Digest); err != nil {
			return err
		}
	}
	var sent *checkedReader
	err := r.closeUpload(ctx, at, d, func() (io.ReadCloser, error) {
		from, err := open()
		if err != nil {
			return nil, err
		}
		sent = newCheckedReader(from, d.Digest, d.Size)
		return &checkedBody{sent, from}, nil
	})
	if sent != nil {
		// The cause, where the connection only saw its end.
		if cause := sent.failure(); cause != nil && cause != errGivenUp {
			return cause
		}
	}
	return err
}

// closeUpload says what an upload is, and sends with that the bytes of body; nil where the registry has them.
func (r *remote) closeUpload(ctx context.Context, at *url.URL, d Descriptor, body func() (io.ReadCloser, error)) error {
	query := at.Query()
	query.Set("digest", d.Digest)
	target := *at
	target.RawQuery = query.Encode()
	put := call{
		method: http.MethodPut, url: &target, access: access{push: true}, body: body, stores: d.Size,
		header: http.Header{"Content-Type": {"application/octet-stream"}},
	}
	if body != nil {
		put.size = d.Size
	}
	resp, err := r.client.do(ctx, put)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusCreated {
		return refusal(resp)
	}
	drain(resp)
	return nil
}

// checkedBody is the body of an upload.
type checkedBody struct {
	*checkedReader
	from io.Closer
}

// errGivenUp is what a body ends with that the connection closed: whatever its source says after that is no cause.
var errGivenUp = errors.New("given up")

// Close may come while another goroutine reads.
func (b *checkedBody) Close() error {
	_ = b.fail(errGivenUp)
	return b.from.Close()
}
