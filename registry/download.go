package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// ranger is a store that can give a part of a blob.
type ranger interface {
	// openRange opens the bytes of a blob from one offset to before another. errRangeIgnored means that the store gives
	// whole blobs only.
	openRange(ctx context.Context, d Descriptor, from, to int64) (io.ReadCloser, error)
	// openFrom opens a blob from an offset on, even if what lies before it must be read to get there.
	openFrom(ctx context.Context, d Descriptor, from int64) (io.ReadCloser, error)
}

// errRangeIgnored is about a registry that answers with a whole blob where a part was asked for, as it may.
var errRangeIgnored = errors.New("registry gives whole blobs only")

func (r *remote) hasBlob(ctx context.Context, d Descriptor) (there bool, err error) {
	err = r.client.retry(ctx, func() error {
		there, err = r.lookBlob(ctx, d)
		return err
	})
	return there, err
}

// lookBlob is hasBlob, once.
func (r *remote) lookBlob(ctx context.Context, d Descriptor) (bool, error) {
	resp, err := r.client.do(ctx, call{method: http.MethodHead, url: r.under("blobs", d.Digest), elsewhere: true})
	if err != nil {
		return false, err
	}
	switch {
	case resp.StatusCode == http.StatusNotFound:
		drain(resp)
		return false, nil
	case resp.StatusCode != http.StatusOK:
		return false, refusal(resp)
	}
	drain(resp)
	if resp.ContentLength >= 0 && resp.ContentLength != d.Size {
		return false, fmt.Errorf("%w: registry has %d bytes under %s, not %d", ErrDigest, resp.ContentLength, d.Digest, d.Size)
	}
	return true, nil
}

func (r *remote) openBlob(ctx context.Context, d Descriptor) (io.ReadCloser, error) {
	return r.openSpan(ctx, d, 0, d.Size, false)
}

func (r *remote) openRange(ctx context.Context, d Descriptor, from, to int64) (io.ReadCloser, error) {
	return r.openSpan(ctx, d, from, to, true)
}

func (r *remote) openFrom(ctx context.Context, d Descriptor, from int64) (io.ReadCloser, error) {
	return r.openSpan(ctx, d, from, d.Size, false)
}

// openSpan opens the bytes [from, to) of a blob. The reader goes on by itself where a connection broke. Where a registry
// ignores ranges, strict makes that an errRangeIgnored; otherwise what is in the way is read and thrown away.
func (r *remote) openSpan(ctx context.Context, d Descriptor, from, to int64, strict bool) (io.ReadCloser, error) {
	b := &blobReader{at: from, end: to, tries: tries{patience: r.client.patience}}
	b.open = func() (io.ReadCloser, error) { return r.openOnce(ctx, d, b.at, to, strict) }
	b.again = func(err error) error { return b.tries.again(ctx, err) }
	if err := b.connect(); err != nil {
		return nil, err
	}
	return b, nil
}

// openOnce makes one request for the bytes [from, to) of a blob, of which there is at least one.
func (r *remote) openOnce(ctx context.Context, d Descriptor, from, to int64, strict bool) (io.ReadCloser, error) {
	c := call{method: http.MethodGet, url: r.under("blobs", d.Digest), elsewhere: true}
	part := from > 0 || to < d.Size
	if part {
		c.header = http.Header{"Range": {fmt.Sprintf("bytes=%d-%d", from, to-1)}}
	}
	resp, err := r.client.do(ctx, c)
	if err != nil {
		return nil, err
	}
	switch {
	case resp.StatusCode == http.StatusPartialContent && part:
		if err := checkPart(resp, from, to, d); err != nil {
			_ = resp.Body.Close()
			return nil, err
		}
		return resp.Body, nil
	case resp.StatusCode != http.StatusOK:
		return nil, refusal(resp)
	case resp.ContentLength >= 0 && resp.ContentLength != d.Size:
		_ = resp.Body.Close()
		return nil, fmt.Errorf("%w: registry sends %d bytes for %s, not %d", ErrDigest, resp.ContentLength, d.Digest, d.Size)
	case part && strict:
		_ = resp.Body.Close()
		return nil, errRangeIgnored
	}
	if _, err := io.CopyN(io.Discard, resp.Body, from); err != nil {
		_ = resp.Body.Close()
		return nil, fmt.Errorf("skip %d bytes: %w", from, err)
	}
	return resp.Body, nil
}

// checkPart returns an error unless a 206 is exactly the part that was asked for (RFC 9110 §15.3.7): bytes that go to
// the wrong place would make the whole worthless, and an answer in several parts would come with headings among them.
func checkPart(resp *http.Response, from, to int64, d Descriptor) error {
	want := fmt.Sprintf("bytes %d-%d/%d", from, to-1, d.Size)
	if got := resp.Header.Get("Content-Range"); got != want {
		return fmt.Errorf("%w: registry answers %q of %s, not %q", errPart, got, d.Digest, want)
	}
	if resp.ContentLength >= 0 && resp.ContentLength != to-from {
		return fmt.Errorf("%w: registry sends %d bytes for %q of %s", errPart, resp.ContentLength, want, d.Digest)
	}
	return nil
}

// blobReader reads a part of a blob over as many connections as it takes. It checks no digest, and passes on whatever
// comes: also what comes too much.
type blobReader struct {
	open  func() (io.ReadCloser, error) // at the offset at
	again func(error) error
	tries tries

	at, end int64
	body    io.ReadCloser
	fresh   int64 // bytes from this connection
}

// connect makes a connection, trying again as often as is sensible.
func (b *blobReader) connect() error {
	for {
		body, err := b.open()
		if err == nil {
			b.body, b.fresh = body, 0
			return nil
		}
		if err := b.again(err); err != nil {
			return err
		}
	}
}

// Read reads on, from another connection if the last one broke. A connection that stood still after it had moved is a
// broken one; one that never moved has used up the time there is.
func (b *blobReader) Read(p []byte) (int, error) {
	for {
		n, err := b.body.Read(p)
		b.at, b.fresh = b.at+int64(n), b.fresh+int64(n)
		if n > 0 || err == nil {
			return n, nil // an error comes again with the next call
		}
		if err == io.EOF || b.at >= b.end {
			return 0, err
		}
		if b.fresh >= stepBytes {
			b.tries.moved()
			if errors.Is(err, ErrTimeout) {
				err = fmt.Errorf("%w: %w", errInterrupted, err)
			}
		}
		_ = b.body.Close()
		if err := b.again(err); err != nil {
			b.body = closedBody{err}
			return 0, err
		}
		if err := b.connect(); err != nil {
			b.body = closedBody{err}
			return 0, err
		}
	}
}

func (b *blobReader) Close() error { return b.body.Close() }

// closedBody gives nothing but the error that it ended with.
type closedBody struct{ err error }

func (c closedBody) Read([]byte) (int, error) { return 0, c.err }
func (c closedBody) Close() error             { return nil }
