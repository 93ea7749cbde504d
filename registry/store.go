package registry

import (
	"context"
	"io"
)

// store is where a Repo keeps things: a registry or a layout. Stores move bytes. Digests given to a store are well
// formed; what a store returns under a digest is checked by its caller, for a store believes the other side.
//
// A missing thing is an ErrNotFound. Stores are safe for concurrent use.
type store interface {
	blobs
	manifests
	index
	close()
}

type blobs interface {
	// hasBlob reports whether the blob is there as a whole.
	hasBlob(ctx context.Context, d Descriptor) (bool, error)
	// openBlob opens the blob for reading.
	openBlob(ctx context.Context, d Descriptor) (io.ReadCloser, error)
	// putBlob stores what open returns, if that is what d says; else nothing is stored under d. open may be called
	// more than once.
	putBlob(ctx context.Context, d Descriptor, open func() (io.ReadCloser, error)) error
}

type manifests interface {
	// manifest returns the manifest under a digest or tag and the media type it is served as; the bytes are capped.
	manifest(ctx context.Context, target string) (raw []byte, mediaType string, err error)
	// putManifest stores raw under its digest and, where tag is not empty, under the tag too. It reports whether the
	// store took note of raw's subject, so that raw will be among the subject's referrers.
	putManifest(ctx context.Context, raw []byte, d Descriptor, tag string) (noted bool, err error)
}

type index interface {
	// tags returns the tags that begin with prefix.
	tags(ctx context.Context, prefix string) ([]string, error)
	// referrers returns what refers to the subject. supported is false where the store keeps no such list.
	referrers(ctx context.Context, subject string) (found []referrer, supported bool, err error)
	// sole returns the one artifact of a store that was named without a tag.
	sole(ctx context.Context) (digest string, err error)
}
