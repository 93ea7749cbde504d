package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sync/errgroup"
)

// These commands make this program a bare transfer instead, in a process of its own like any tool.
const (
	bareDownloadCommand = "bare-download"
	bareUploadCommand   = "bare-upload"
)

// maxBareManifest is how many bytes of a manifest the bare download takes.
const maxBareManifest = 8 << 20

// place is a repository with a tag, as HOST/NAME:TAG says it.
type place struct{ base, tag string }

func parsePlace(ref string) (place, error) {
	host, rest, _ := strings.Cut(ref, "/")
	name, tag, ok := strings.Cut(rest, ":")
	if !ok {
		return place{}, fmt.Errorf("%q is not HOST/NAME:TAG", ref)
	}
	return place{"http://" + host + "/v2/" + name, tag}, nil
}

// bareDownload fetches the layers of an artifact and nothing else: each is one GET that is hashed and written to a file,
// the limit of what a Go program reaches that does no more. args are HOST/NAME:TAG, the folder, and how many loops run.
func bareDownload(ctx context.Context, args []string) error {
	if len(args) != 3 {
		return errors.New("bare download: it takes HOST/NAME:TAG, a folder, and a number of loops")
	}
	from, err := parsePlace(args[0])
	if err != nil {
		return err
	}
	loops, err := strconv.Atoi(args[2])
	if err != nil || loops < 1 {
		return fmt.Errorf("bare download: %q is no number of loops", args[2])
	}
	layers, err := from.layers(ctx)
	if err != nil {
		return fmt.Errorf("bare download: %w", err)
	}
	work, inner := errgroup.WithContext(ctx)
	work.SetLimit(loops)
	for _, l := range layers {
		work.Go(func() error {
			at := filepath.Join(args[1], filepath.FromSlash(l.Annotations["org.opencontainers.image.title"]))
			if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
				return err
			}
			return from.download(inner, l.Digest, at)
		})
	}
	return work.Wait()
}

// bareLayer is what a manifest says of a file.
type bareLayer struct {
	Digest      string            `json:"digest"`
	Annotations map[string]string `json:"annotations"`
}

func (p place) layers(ctx context.Context) ([]bareLayer, error) {
	resp, err := p.do(ctx, http.MethodGet, p.base+"/manifests/"+p.tag, nil, 0, http.StatusOK)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	var m struct {
		Layers []bareLayer `json:"layers"`
	}
	err = json.NewDecoder(io.LimitReader(resp.Body, maxBareManifest)).Decode(&m)
	return m.Layers, err
}

func (p place) download(ctx context.Context, digest, at string) error {
	resp, err := p.do(ctx, http.MethodGet, p.base+"/blobs/"+digest, nil, 0, http.StatusOK)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	f, err := os.Create(at)
	if err != nil {
		return err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.CopyBuffer(struct{ io.Writer }{io.MultiWriter(h, f)}, resp.Body, make([]byte, 1<<20)); err != nil {
		return err
	}
	if got := fmt.Sprintf("sha256:%x", h.Sum(nil)); got != digest {
		return fmt.Errorf("%s has digest %s", digest, got)
	}
	return f.Close()
}

// bareUpload hashes each file and sends it with one POST and one PUT. args are HOST/NAME:TAG and how many loops run; in is
// the files' names, each ended by a zero byte.
func bareUpload(ctx context.Context, args []string, in io.Reader) error {
	if len(args) != 2 {
		return errors.New("bare upload: it takes HOST/NAME:TAG and a number of loops")
	}
	to, err := parsePlace(args[0])
	if err != nil {
		return err
	}
	loops, err := strconv.Atoi(args[1])
	if err != nil || loops < 1 {
		return fmt.Errorf("bare upload: %q is no number of loops", args[1])
	}
	raw, err := io.ReadAll(io.LimitReader(in, maxList))
	if err != nil {
		return fmt.Errorf("bare upload: read names: %w", err)
	}
	work, inner := errgroup.WithContext(ctx)
	work.SetLimit(loops)
	for name := range bytes.SplitSeq(bytes.TrimSuffix(raw, []byte{0}), []byte{0}) {
		work.Go(func() error { return to.upload(inner, string(name)) })
	}
	return work.Wait()
}

func (p place) upload(ctx context.Context, name string) error {
	var sum [sha256.Size]byte
	if err := hashFile(ctx, name, make([]byte, 1<<20), &sum); err != nil {
		return err
	}
	opened, err := p.do(ctx, http.MethodPost, p.base+"/blobs/uploads/", nil, 0, http.StatusAccepted)
	if err != nil {
		return err
	}
	_ = opened.Body.Close()
	at, err := opened.Location()
	if err != nil {
		return err
	}
	query := at.Query()
	query.Set("digest", fmt.Sprintf("sha256:%x", sum))
	at.RawQuery = query.Encode()
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	put, err := p.do(ctx, http.MethodPut, at.String(), f, info.Size(), http.StatusCreated)
	if err != nil {
		return err
	}
	return put.Body.Close()
}

// do sends one request and wants one status.
func (p place) do(ctx context.Context, method, url string, body io.Reader, size int64, want int) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		return nil, err
	}
	r.ContentLength = size
	r.Header.Set("Accept", "application/vnd.oci.image.manifest.v1+json")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != want {
		_ = resp.Body.Close()
		return nil, fmt.Errorf("%s %s: %s", method, url, resp.Status)
	}
	return resp, nil
}
