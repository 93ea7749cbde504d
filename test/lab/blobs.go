package lab

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	maxBlob = 64 << 30 // bytes of a blob
	spillAt = 1 << 20  // bytes of a blob that stay in memory where there is a directory
)

// Digest returns the SHA-256 of raw as sha256:HEX.
func Digest(raw []byte) string {
	sum := sha256.Sum256(raw)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// blob is the bytes under one digest, in memory or in a file. It never changes.
type blob struct {
	raw  []byte
	file string // empty: in memory
	size int64
}

func (b blob) open() (io.ReadSeekCloser, error) {
	if b.file == "" {
		return inMemory{bytes.NewReader(b.raw)}, nil
	}
	return os.Open(b.file)
}

func (b blob) bytes() ([]byte, error) {
	if b.file == "" {
		return bytes.Clone(b.raw), nil
	}
	return os.ReadFile(b.file)
}

type inMemory struct{ *bytes.Reader }

func (inMemory) Close() error { return nil }

// serveBlob answers GET, HEAD and DELETE of a blob.
func (g *Registry) serveBlob(w http.ResponseWriter, r *http.Request, name, digest string) {
	g.mu.Lock()
	b, ok := g.view(name).blobs[digest]
	if ok && r.Method == http.MethodDelete {
		delete(g.repository(name).blobs, digest)
	}
	g.mu.Unlock()
	switch {
	case !ok:
		refuse(w, http.StatusNotFound, "BLOB_UNKNOWN", "no such blob")
	case r.Method == http.MethodDelete:
		w.WriteHeader(http.StatusAccepted)
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		refuse(w, http.StatusMethodNotAllowed, "UNSUPPORTED", "no such method")
	case r.Method == http.MethodGet && g.options.BlobsAt != "":
		w.Header().Set("Location", g.options.BlobsAt+strings.TrimPrefix(digest, "sha256:"))
		w.WriteHeader(http.StatusTemporaryRedirect)
	default:
		g.send(w, r, b, digest)
	}
}

// send answers with a blob or a part of it.
func (g *Registry) send(w http.ResponseWriter, r *http.Request, b blob, digest string) {
	if g.options.IgnoreRange {
		r = r.Clone(r.Context())
		r.Header.Del("Range")
	}
	from, err := b.open()
	if err != nil {
		refuse(w, http.StatusInternalServerError, "UNKNOWN", err.Error())
		return
	}
	defer from.Close()
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Docker-Content-Digest", digest)
	w.Header().Set("Etag", strconv.Quote(digest))
	http.ServeContent(w, r, "", time.Time{}, from)
}

// Storage is where a registry that redirects keeps its blobs: it serves each under its digest's hex to everybody, and
// refuses a request with credentials, as the storage services of clouds do.
func (g *Registry) Storage() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" {
			refuse(w, http.StatusBadRequest, "UNAUTHORIZED", "credentials of somebody else")
			return
		}
		digest := "sha256:" + r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]
		if b, ok := g.anywhere(digest); ok {
			g.send(w, r, b, digest)
			return
		}
		refuse(w, http.StatusNotFound, "BLOB_UNKNOWN", "no such blob")
	})
}

// anywhere finds a blob in whatever repository has it.
func (g *Registry) anywhere(digest string) (blob, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, repo := range g.repos {
		if b, ok := repo.blobs[digest]; ok {
			return b, true
		}
	}
	return blob{}, false
}

// upload is a blob on its way. One request at a time works on it.
type upload struct {
	mu     sync.Mutex
	name   string // repository
	memory bytes.Buffer
	file   *os.File // nil: in memory
	hash   hash.Hash
	size   int64
}

// serveUpload answers what has to do with uploads: POST opens one or mounts, PATCH adds, PUT ends, GET says how far it
// came, DELETE gives up.
func (g *Registry) serveUpload(w http.ResponseWriter, r *http.Request, name, id string) {
	if r.Method == http.MethodPost && id == "" {
		g.openUpload(w, r, name)
		return
	}
	g.mu.Lock()
	u := g.uploads[id]
	if r.Method == http.MethodDelete {
		delete(g.uploads, id)
	}
	g.mu.Unlock()
	if u == nil || u.name != name {
		refuse(w, http.StatusNotFound, "BLOB_UPLOAD_UNKNOWN", "no such upload")
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if state := r.URL.Query().Get("_state"); state != strconv.FormatInt(u.size, 10) && r.Method != http.MethodGet && r.Method != http.MethodDelete {
		refuse(w, http.StatusRequestedRangeNotSatisfiable, "BLOB_UPLOAD_INVALID", "not the address that was given for the next chunk")
		return
	}
	switch r.Method {
	case http.MethodGet:
		u.describe(w, id, http.StatusNoContent)
	case http.MethodDelete:
		u.discard()
		w.WriteHeader(http.StatusNoContent)
	case http.MethodPatch:
		if g.take(w, r, u) {
			u.describe(w, id, http.StatusAccepted)
		}
	case http.MethodPut:
		if g.take(w, r, u) {
			g.closeUpload(w, r, u, id)
		}
	default:
		refuse(w, http.StatusMethodNotAllowed, "UNSUPPORTED", "no such method")
	}
}

// openUpload answers a POST: a mount, a blob in one piece, or the address to send it to.
func (g *Registry) openUpload(w http.ResponseWriter, r *http.Request, name string) {
	query := r.URL.Query()
	if digest := query.Get("mount"); digest != "" && !g.options.NoMount && g.mount(name, digest, query.Get("from")) {
		created(w, name, digest)
		return
	}
	u := &upload{name: name, hash: sha256.New()}
	g.mu.Lock()
	g.serial++
	id := fmt.Sprintf("upload-%d", g.serial)
	g.uploads[id] = u
	g.mu.Unlock()
	u.mu.Lock()
	defer u.mu.Unlock()
	if query.Get("digest") == "" {
		u.describe(w, id, http.StatusAccepted)
		return
	}
	if g.take(w, r, u) {
		g.closeUpload(w, r, u, id)
	}
}

// mount makes a blob of another repository one of name's too.
func (g *Registry) mount(name, digest, from string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	there := g.repos[from]
	if there == nil {
		return false
	}
	b, ok := there.blobs[digest]
	if ok {
		g.repository(name).blobs[digest] = b
	}
	return ok
}

// take adds a request's body to an upload. What came before the connection broke stays.
func (g *Registry) take(w http.ResponseWriter, r *http.Request, u *upload) bool {
	if at := r.Header.Get("Content-Range"); at != "" {
		first, _, _ := strings.Cut(at, "-")
		if first != strconv.FormatInt(u.size, 10) {
			refuse(w, http.StatusRequestedRangeNotSatisfiable, "BLOB_UPLOAD_INVALID", "not where the last chunk ended")
			return false
		}
	}
	if u.file == nil && g.options.Dir != "" {
		if _, err := io.CopyN(u, r.Body, spillAt); err == nil {
			if err := u.spill(g.options.Dir); err != nil {
				refuse(w, http.StatusInternalServerError, "UNKNOWN", err.Error())
				return false
			}
		}
	}
	if _, err := io.Copy(u, io.LimitReader(r.Body, maxBlob)); err != nil {
		refuse(w, http.StatusBadRequest, "BLOB_UPLOAD_INVALID", err.Error())
		return false
	}
	return true
}

// Write adds bytes.
func (u *upload) Write(p []byte) (int, error) {
	to := io.Writer(&u.memory)
	if u.file != nil {
		to = u.file
	}
	n, err := to.Write(p)
	u.hash.Write(p[:n])
	u.size += int64(n)
	return n, err
}

// spill moves what is in memory to a file.
func (u *upload) spill(dir string) error {
	f, err := os.CreateTemp(dir, "blob-")
	if err != nil {
		return err
	}
	u.file = f
	_, err = u.memory.WriteTo(f)
	u.memory = bytes.Buffer{}
	return err
}

func (u *upload) discard() {
	if u.file != nil {
		_ = u.file.Close()
		_ = os.Remove(u.file.Name())
	}
}

// describe says how far an upload came and where its next chunk goes.
func (u *upload) describe(w http.ResponseWriter, id string, status int) {
	w.Header().Set("Location", fmt.Sprintf("/v2/%s/blobs/uploads/%s?_state=%d", u.name, id, u.size))
	w.Header().Set("Docker-Upload-UUID", id)
	w.Header().Set("Range", fmt.Sprintf("0-%d", max(u.size-1, 0)))
	w.WriteHeader(status)
}

// closeUpload gives an upload its digest, if that is what it has.
func (g *Registry) closeUpload(w http.ResponseWriter, r *http.Request, u *upload, id string) {
	digest := r.URL.Query().Get("digest")
	got := "sha256:" + hex.EncodeToString(u.hash.Sum(nil))
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.uploads, id)
	if digest != got {
		u.discard()
		refuse(w, http.StatusBadRequest, "DIGEST_INVALID", "other bytes than "+url.QueryEscape(digest))
		return
	}
	b := blob{raw: u.memory.Bytes(), size: u.size}
	if u.file != nil {
		b.file = u.file.Name()
		_ = u.file.Close()
	}
	g.repository(u.name).blobs[digest] = b
	created(w, u.name, digest)
}

func created(w http.ResponseWriter, name, digest string) {
	w.Header().Set("Location", "/v2/"+name+"/blobs/"+digest)
	w.Header().Set("Docker-Content-Digest", digest)
	w.WriteHeader(http.StatusCreated)
}
