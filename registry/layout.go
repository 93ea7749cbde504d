package registry

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

const (
	layoutBlobs  = ocispec.ImageBlobsDir + "/sha256"
	layoutMarker = `{"imageLayoutVersion":"` + ocispec.ImageLayoutVersion + `"}`
	maxMarker    = 4 << 10 // bytes of oci-layout
)

// layout is an OCI image layout on disk (image-spec 1.1, OCI Image Layout). Every manifest that was put is listed in
// index.json, with its tag as org.opencontainers.image.ref.name or without one; so referrers are found there, as ORAS
// does it. Writers exclude each other by a lock on the directory itself, which leaves nothing behind.
type layout struct {
	dir string

	// What manifests that were read refer to, by digest: referrers are asked for once for each artifact, and each time all
	// that is listed counts. A digest names the same for ever; whoever wants the manifest itself has it checked again.
	subjects sync.Map
}

func (l *layout) close() {}

// open opens the layout. Reading needs one that is there; writing makes it.
func (l *layout) open(write bool) (*os.Root, error) {
	if write {
		if err := os.MkdirAll(l.dir, 0o755); err != nil {
			return nil, err
		}
	}
	root, err := os.OpenRoot(l.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("layout %w: %w", ErrNotFound, err)
	}
	if err != nil {
		return nil, err
	}
	if err := l.checkMarker(root, write); err != nil {
		_ = root.Close()
		return nil, err
	}
	return root, nil
}

// checkMarker reads oci-layout, or makes it in a directory that is empty: others are no layout and are not turned into
// one.
func (l *layout) checkMarker(root *os.Root, write bool) error {
	raw, err := readRegular(root, ocispec.ImageLayoutFile, maxMarker)
	if err == nil {
		var m ocispec.ImageLayout
		if err := json.Unmarshal(raw, &m); err != nil || m.Version != ocispec.ImageLayoutVersion {
			return fmt.Errorf("%s is not an OCI image layout %s", ocispec.ImageLayoutFile, ocispec.ImageLayoutVersion)
		}
		return nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("directory is not an OCI image layout: %w", err)
	}
	if !write {
		return fmt.Errorf("directory is not an OCI image layout: %s %w", ocispec.ImageLayoutFile, ErrNotFound)
	}
	entries, err := fs.ReadDir(root.FS(), ".")
	if err != nil {
		return err
	}
	for _, e := range entries { // another writer may be making it at the same time
		own := []string{ocispec.ImageLayoutFile, ocispec.ImageBlobsDir, ocispec.ImageIndexFile}
		if !slices.Contains(own, e.Name()) && !strings.HasPrefix(e.Name(), temporaryPrefix) {
			return fmt.Errorf("directory holds %q and is not an OCI image layout", e.Name())
		}
	}
	if err := root.MkdirAll(layoutBlobs, 0o755); err != nil {
		return err
	}
	return replaceFile(root, ocispec.ImageLayoutFile, []byte(layoutMarker))
}

func blobPath(digest string) string { return layoutBlobs + "/" + strings.TrimPrefix(digest, "sha256:") }

// checkedTime is when a blob that was put here says it was last written to: a time that follows from its digest and that
// no clock shows any more. A file is given it once its bytes were checked, and whatever writes to the file later, or puts
// another in its place, gives it another one. So where name, size and time agree the bytes are those that were checked,
// and a second push need not read them.
//
// What that takes for whole and is not, a disk has spoiled, or somebody who set the time too. A push that leaves it there
// costs those who pull from the layout an error, never other bytes: all who read a blob hold it to its digest. What other
// tools put here has a clock's time, and is read.
func checkedTime(digest string) time.Time {
	const sinceThen, spread = 1_000_000_000, 1 << 28 // from 2001 for eight years and a half
	sum := sha256.Sum256([]byte(digest))
	// Even seconds are what every file system can keep.
	return time.Unix(sinceThen+int64(binary.BigEndian.Uint32(sum[:])%spread)&^1, 0)
}

// hasBlob reads the blob, unless it is known to be as it was when it was checked: a name and a size do not make it whole.
func (l *layout) hasBlob(ctx context.Context, d Descriptor) (bool, error) {
	from, info, err := l.find(d)
	if errors.Is(err, ErrNotFound) || errors.Is(err, ErrDigest) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer from.Close()
	if info.ModTime().Equal(checkedTime(d.Digest)) {
		return true, nil
	}
	_, err = copyBytes(ctx, io.Discard, newCheckedReader(from, d.Digest, d.Size), nil)
	if errors.Is(err, ErrDigest) {
		return false, nil
	}
	return err == nil, err
}

func (l *layout) openBlob(_ context.Context, d Descriptor) (io.ReadCloser, error) {
	f, _, err := l.find(d)
	if err != nil {
		return nil, err
	}
	return f, nil
}

// find opens a file that has a blob's name and size.
func (l *layout) find(d Descriptor) (*os.File, fs.FileInfo, error) {
	root, err := l.open(false)
	if err != nil {
		return nil, nil, err
	}
	defer root.Close()
	f, info, err := openRegular(root, blobPath(d.Digest))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, fmt.Errorf("blob %s: %w", d.Digest, ErrNotFound)
	}
	if err != nil {
		return nil, nil, err
	}
	if info.Size() != d.Size {
		_ = f.Close()
		return nil, nil, fmt.Errorf("%w: layout has %d bytes under %s, not %d", ErrDigest, info.Size(), d.Digest, d.Size)
	}
	return f, info, nil
}

// putBlob writes beside the blob's place, checks, marks as checked, syncs, and renames. Two writers of one blob write the same.
func (l *layout) putBlob(ctx context.Context, d Descriptor, open func() (io.ReadCloser, error)) error {
	root, err := l.open(true)
	if err != nil {
		return err
	}
	defer root.Close()
	if err := root.MkdirAll(layoutBlobs, 0o755); err != nil {
		return err
	}
	from, err := open()
	if err != nil {
		return err
	}
	defer from.Close()
	temporary := layoutBlobs + "/" + temporaryPrefix + rand.Text()
	return writeFile(root, temporary, blobPath(d.Digest), func(to io.Writer) error {
		_, err := copyBytes(ctx, to, newCheckedReader(from, d.Digest, d.Size), nil)
		if err == nil { // where times cannot be set, the blob is read when somebody asks for it
			_ = root.Chtimes(temporary, time.Time{}, checkedTime(d.Digest))
		}
		return err
	})
}

func (l *layout) manifest(ctx context.Context, target string) ([]byte, string, error) {
	root, err := l.open(false)
	if err != nil {
		return nil, "", err
	}
	defer root.Close()
	x, err := readIndex(root)
	if err != nil {
		return nil, "", err
	}
	d, ok := x.find(target)
	if !ok || d.check() != nil {
		return nil, "", fmt.Errorf("tag %q: %w", target, ErrNotFound)
	}
	raw, err := readRegular(root, blobPath(d.Digest), maxManifest)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, "", fmt.Errorf("manifest %s: %w", d.Digest, ErrNotFound)
	}
	if err != nil {
		return nil, "", err
	}
	return raw, d.MediaType, checkSum(raw, d.Digest)
}

// putManifest stores the manifest as a blob and lists it in index.json. A layout always takes note of a subject.
func (l *layout) putManifest(ctx context.Context, raw []byte, d Descriptor, tag string) (bool, error) {
	err := l.put(ctx, raw, d, tag, func(string) error { return nil })
	return err == nil, err
}

// put is putManifest, if agree takes the digest of what the tag names until then, which is empty where it names nothing. No
// other writer comes in between.
func (l *layout) put(ctx context.Context, raw []byte, d Descriptor, tag string, agree func(names string) error) error {
	there, err := l.hasBlob(ctx, d)
	if err == nil && !there {
		err = l.putBlob(ctx, d, opener(raw))
	}
	if err != nil {
		return err
	}
	root, err := l.open(true)
	if err != nil {
		return err
	}
	defer root.Close()
	unlock, err := lockDirectory(ctx, root)
	if err != nil {
		return err
	}
	defer unlock()
	x, err := readIndex(root)
	if err != nil {
		return err
	}
	names := ""
	if before, ok := x.find(tag); ok {
		names = before.Digest
	}
	if err := agree(names); err != nil {
		return err
	}
	if !x.put(d, tag) {
		return nil
	}
	if raw, err = x.marshal(); err != nil {
		return err
	}
	if err := syncDirectory(root, layoutBlobs); err != nil { // the index must not outlive what it lists
		return err
	}
	return replaceFile(root, ocispec.ImageIndexFile, raw)
}

func (l *layout) tags(_ context.Context, prefix string) ([]string, error) {
	root, err := l.open(false)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	x, err := readIndex(root)
	if err != nil {
		return nil, err
	}
	return x.tags(prefix), nil
}

// referrers reads every listed manifest for its subject, for index.json does not say.
func (l *layout) referrers(ctx context.Context, subject string) ([]referrer, bool, error) {
	var found []referrer
	err := l.each(ctx, func(m referrer, subjectOf string) {
		if subjectOf == subject && !slices.ContainsFunc(found, func(f referrer) bool { return f.Digest == m.Digest }) {
			m.ArtifactType = "" // what the index says of it is nobody's promise: its manifest is read anyway
			found = append(found, m)
		}
	})
	return found, err == nil, err
}

func (l *layout) sole(ctx context.Context) (string, error) { return soleOf(ctx, l.each) }

// soleOf returns the only listed manifest that refers to nothing.
func soleOf(ctx context.Context, each func(context.Context, func(m referrer, subject string)) error) (string, error) {
	var found []string
	err := each(ctx, func(m referrer, subjectOf string) {
		evidence := strings.HasPrefix(m.Annotations[ocispec.AnnotationRefName], fallbackPrefix)
		if subjectOf == "" && !evidence && !slices.Contains(found, m.Digest) {
			found = append(found, m.Digest)
		}
	})
	switch {
	case err != nil:
		return "", err
	case len(found) == 0:
		return "", fmt.Errorf("no artifact: %w", ErrNotFound)
	case len(found) > 1:
		return "", fmt.Errorf("%d artifacts: a tag or a digest must say which", len(found))
	}
	return found[0], nil
}

// each calls see for every manifest and index that index.json lists, with the digest of its subject. Other things that
// it may list refer to nothing.
func (l *layout) each(ctx context.Context, see func(m referrer, subject string)) error {
	root, err := l.open(false)
	if err != nil {
		return err
	}
	defer root.Close()
	x, err := readIndex(root)
	if err != nil {
		return err
	}
	for _, m := range x.Manifests {
		if err := ctx.Err(); err != nil {
			return err
		}
		if !slices.Contains(manifestTypes, m.MediaType) {
			continue
		}
		subject, err := l.subject(root, m.Digest)
		if err != nil {
			return fmt.Errorf("manifest %s: %w", m.Digest, err)
		}
		see(m, subject)
	}
	return nil
}

// subject returns what a manifest refers to.
func (l *layout) subject(root *os.Root, digest string) (string, error) {
	if known, ok := l.subjects.Load(digest); ok {
		return known.(string), nil
	}
	raw, err := readRegular(root, blobPath(digest), maxManifest)
	if err == nil {
		err = checkSum(raw, digest)
	}
	if err != nil {
		return "", err
	}
	subject := knownSubject(raw)
	l.subjects.Store(digest, subject)
	return subject, nil
}
