package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"

	"github.com/go-json-experiment/json"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// ahead sends large files in the pass that hashes them, before anybody knows their digests: an upload is told its digest
// only when it is closed. Whether a blob is there already cannot be asked without its digest, so nothing is sent ahead to
// a repository that may have some of it: to send a gigabyte for nothing costs more than to read it twice ever does.
//
// It is a short cut and never a duty: what could not be sent ahead, for whatever reason, is pushed the ordinary way. The
// nil ahead sends nothing.
type ahead struct {
	to    *remote
	stop  context.CancelFunc // ends the uploads under way
	tee   func(name string, size int64) io.Writer
	begun map[string]*sending // by name of the file
}

// newAhead returns an ahead whose tee is to see the bytes of all files that will be pushed, as manifest.Options has it.
// Only registries are sent to ahead; where blobs may be mounted from elsewhere nothing need be sent.
func newAhead(ctx context.Context, r *Repo, o PushOptions) *ahead {
	to, ok := r.store.(*remote)
	if !ok || len(o.MountFrom) > 0 {
		return nil
	}
	ctx, stop := context.WithCancel(ctx)
	a := &ahead{to: to, stop: stop, begun: map[string]*sending{}}
	fresh := sync.OnceValue(func() bool {
		fresh, err := to.claim(ctx)
		return fresh && err == nil // what is wrong shows again where it matters
	})
	a.tee = func(name string, size int64) io.Writer {
		if !isLarge(size) || !fresh() {
			return nil
		}
		s := &sending{done: make(chan struct{})}
		from, to := io.Pipe()
		s.to = to
		s.begin = sync.OnceFunc(func() {
			go func() {
				defer close(s.done)
				s.at, s.err = a.to.stream(ctx, from, size)
				_ = from.CloseWithError(errGivenUp)
			}()
		})
		a.begun[name] = s
		return s
	}
	return a
}

// writer is the tee that hashing is given; nil where nothing is sent ahead.
func (a *ahead) writer() func(name string, size int64) io.Writer {
	if a == nil {
		return nil
	}
	return a.tee
}

// end says that hashing is over: an upload that has not got all of its bytes gets no more.
func (a *ahead) end() {
	if a == nil {
		return
	}
	for _, s := range a.begun {
		s.begin() // so that each is done at some time
		_ = s.to.CloseWithError(errGivenUp)
	}
}

// complete closes the upload of a file as what it turned out to be, and reports whether the registry has it now. It may
// be called concurrently.
func (a *ahead) complete(ctx context.Context, name string, d Descriptor) bool {
	if a == nil || a.begun[name] == nil {
		return false
	}
	s := a.begun[name]
	<-s.done
	return s.err == nil && a.to.closeUpload(ctx, s.at, d, nil) == nil
}

// close gives up what is under way and waits for its end.
func (a *ahead) close() {
	if a == nil {
		return
	}
	a.stop()
	a.end()
	for _, s := range a.begun {
		<-s.done
	}
}

// sending is one upload whose digest is not known yet.
type sending struct {
	begin func()
	to    *io.PipeWriter
	done  chan struct{}
	at    *url.URL // where the upload is closed, once done
	err   error
}

// Write sends. That it cannot is nothing to those who hash: they go on, and the file is pushed later.
func (s *sending) Write(p []byte) (int, error) {
	s.begin()
	_, _ = s.to.Write(p)
	return len(p), nil
}

// claim reports whether nothing was ever put into the repository, and if so leaves in it the empty config, which every
// piece of evidence needs anyway. Tags come last, so a push that was interrupted left none; but it left this blob, and
// is not taken for a first one when it is run again.
func (r *remote) claim(ctx context.Context) (fresh bool, err error) {
	tagged, err := r.tagged(ctx)
	if err != nil || tagged {
		return false, err
	}
	d := Descriptor{ocispec.MediaTypeEmptyJSON, sumOf(emptyConfig), int64(len(emptyConfig))}
	there, err := r.hasBlob(ctx, d)
	if err != nil || there {
		return false, err
	}
	return true, r.putBlob(ctx, d, opener(emptyConfig))
}

// tagged reports whether the repository has a tag. It reads one page.
func (r *remote) tagged(ctx context.Context) (bool, error) {
	at := r.under("tags", "list")
	at.RawQuery = "n=1"
	var page struct {
		Tags []string `json:"tags"`
	}
	err := r.client.retry(ctx, func() error {
		resp, err := r.client.do(ctx, call{method: http.MethodGet, url: at})
		if err != nil {
			return err
		}
		if resp.StatusCode != http.StatusOK {
			return refusal(resp)
		}
		defer resp.Body.Close()
		raw, err := readCapped(resp.Body, "list of tags", maxManifest)
		if err != nil {
			return err
		}
		if err := json.Unmarshal(raw, &page); err != nil {
			return fmt.Errorf("decode list of tags: %w", err)
		}
		return nil
	})
	if errors.Is(err, ErrNotFound) { // so answers a registry that knows no such repository
		return false, nil
	}
	return len(page.Tags) > 0, err
}

// stream opens an upload and sends size bytes to it in one request (distribution-spec 1.1, Pushing a blob in chunks,
// of which this is the only one). It returns where the upload is closed.
func (r *remote) stream(ctx context.Context, from io.ReadCloser, size int64) (*url.URL, error) {
	at, err := r.startUpload(ctx, nil, access{push: true})
	if err != nil {
		return nil, err
	}
	once := false
	resp, err := r.client.do(ctx, call{
		method: http.MethodPatch, url: at, access: access{push: true}, size: size, stores: size,
		header: http.Header{"Content-Type": {"application/octet-stream"}},
		body: func() (io.ReadCloser, error) {
			if once {
				return nil, errGivenUp // its bytes are gone
			}
			once = true
			return reader{io.LimitReader(from, size), from}, nil
		},
	})
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusAccepted {
		return nil, refusal(resp)
	}
	drain(resp)
	return location(resp)
}
