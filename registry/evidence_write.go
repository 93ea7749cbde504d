package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/hallmark-project/hallmark/attestations"
)

// claimLine returns a bundle as a line: JSON allows line breaks between its tokens and nowhere else, and what is signed
// lies in strings.
func claimLine(b []byte) ([]byte, error) {
	if err := checkBundle(b); err != nil {
		return nil, err
	}
	line := bytes.TrimSpace(b)
	if bytes.ContainsAny(line, "\r\n") {
		v := jsontext.Value(bytes.Clone(line))
		if err := v.Compact(); err != nil {
			return nil, err
		}
		line = v
	}
	return append(bytes.Clone(line), '\n'), nil
}

// WriteSignature makes bundle the content of the signature file at path, at once and durably: a reader finds the old
// file or the new one whole, and after an error the old one. Mode 0644.
func WriteSignature(ctx context.Context, at string, bundle []byte) error {
	if err := checkBundle(bundle); err != nil {
		return fmt.Errorf("write signature %q: %w", at, err)
	}
	err := rewrite(ctx, at, func([]byte) ([]byte, error) { return bundle, nil })
	if err != nil {
		return fmt.Errorf("write signature %q: %w", at, err)
	}
	return nil
}

// WriteBundles makes bundles the content of the file at path, one a line, at once and durably. Mode 0644.
func WriteBundles(ctx context.Context, at string, bundles ...attestations.Bundle) error {
	var content []byte
	for _, b := range bundles {
		line, err := claimLine(b)
		if err != nil {
			return fmt.Errorf("write bundles %q: %w", at, err)
		}
		content = append(content, line...)
	}
	if len(bundles) == 0 {
		return fmt.Errorf("write bundles %q: there are none", at)
	}
	if err := rewrite(ctx, at, func([]byte) ([]byte, error) { return content, nil }); err != nil {
		return fmt.Errorf("write bundles %q: %w", at, err)
	}
	return nil
}

// AppendClaims adds bundles to the claims file at path, one a line, and makes it if it is not there. It excludes other
// writers by a lock on the directory, so that none loses what another adds, and writes the file anew at once and
// durably. A bundle that is there already is not added again. What lies there and is no claims file is a
// *chain.MalformedError and stays. Mode 0644.
func AppendClaims(ctx context.Context, at string, bundles ...[]byte) error {
	var lines [][]byte
	for _, b := range bundles {
		line, err := claimLine(b)
		if err != nil {
			return fmt.Errorf("append to %q: %w", at, err)
		}
		lines = append(lines, line)
	}
	if len(lines) == 0 {
		return fmt.Errorf("append to %q: no bundles", at)
	}
	err := rewrite(ctx, at, func(old []byte) ([]byte, error) { return mergeClaims(filepath.Base(at), old, lines) })
	if err != nil {
		return fmt.Errorf("append to %q: %w", at, err)
	}
	return nil
}

// mergeClaims returns the old lines followed by those that are new; nil if none is.
func mergeClaims(where string, content []byte, lines [][]byte) ([]byte, error) {
	items, err := splitClaims(where, content)
	if err != nil {
		return nil, err
	}
	known := make(map[string]bool, len(items)+len(lines))
	for _, i := range items {
		known[string(bytes.TrimSpace(i.Bundle))] = true
	}
	if len(content) > 0 && content[len(content)-1] != '\n' {
		content = append(content, '\n')
	}
	before := len(known)
	for _, l := range lines {
		if key := string(bytes.TrimSpace(l)); !known[key] {
			known[key] = true
			content = append(content, l...)
		}
	}
	added := len(known) - before
	switch {
	case added == 0:
		return nil, nil
	case len(items)+added > maxClaimLines:
		return nil, tooLarge(fmt.Sprintf("claims file of %d lines", len(items)+added), maxClaimLines)
	case int64(len(content)) > maxClaims:
		return nil, tooLarge(fmt.Sprintf("claims file of %d bytes", len(content)), maxClaims)
	}
	return content, nil
}

// rewrite replaces the file at path by what next makes of its content, or leaves it if next returns nil. It holds the
// lock of the directory. Where a writer was killed before, what it left is removed.
func rewrite(ctx context.Context, at string, next func(old []byte) ([]byte, error)) error {
	root, err := os.OpenRoot(filepath.Dir(at))
	if err != nil {
		return err
	}
	defer root.Close()
	unlock, err := lockDirectory(ctx, root)
	if err != nil {
		return err
	}
	defer unlock()
	old, err := readReserved(at, maxClaims, false)
	if err != nil {
		return err
	}
	name := filepath.Base(at)
	temporary := temporaryPrefix + name
	if err := root.Remove(temporary); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	content, err := next(old)
	if err != nil || content == nil {
		return err
	}
	err = writeFile(root, temporary, name, func(w io.Writer) error {
		_, err := w.Write(content)
		return err
	})
	if err != nil {
		return err
	}
	return syncDirectory(root, ".")
}
