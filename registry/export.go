package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/hallmark-project/hallmark/attestations/chain"
	"github.com/hallmark-project/hallmark/pkg/hashing"
	"github.com/hallmark-project/hallmark/pkg/policy"
)

// What an exported folder holds.
const (
	exportName     = "export.json" // lists the artifacts, and marks the folder
	exportSchema   = "hallmark.export/v1"
	exportEvidence = "evidence" // evidence/HEX/bundles.jsonl and evidence/HEX/manifest.json
	exportBundles  = "bundles.jsonl"
	exportManifest = "manifest.json"
	exportRevoked  = "revocations.jsonl"
	maxExport      = 16 << 20 // bytes of export.json
	maxExported    = policy.MaxNodes
)

type exportFile struct {
	Schema    string           `json:"schema"`
	Artifacts []exportArtifact `json:"artifacts"` // all that were looked for, whether anything was found or not
}

type exportArtifact struct {
	ID string `json:"id"`
}

// Recorder is a library that keeps what another one found, so that it can be exported. It may be used by several
// goroutines.
type Recorder struct {
	From chain.Library

	mu    sync.Mutex
	found map[string]recorded
}

type recorded struct {
	manifest []byte
	items    []chain.Item
}

// Find returns what From finds. The evidence is read at once.
func (r *Recorder) Find(ctx context.Context, want policy.Want) (chain.Found, error) {
	found, err := r.From.Find(ctx, want)
	if err != nil {
		return found, err
	}
	var kept recorded
	if m, ok := found.Artifact.(*chain.Manifest); ok {
		if canonical, err := m.Canonical(); err == nil {
			kept.manifest = canonical.Manifest
		}
	}
	for _, s := range found.Sources {
		items, err := s.Evidence(ctx)
		if err != nil {
			return found, err
		}
		kept.items = append(kept.items, items...)
	}
	found.Sources = []chain.Source{bundles(kept.items)}
	r.Keep(want.ID, kept.manifest, kept.items)
	return found, nil
}

// Keep adds what is known of one artifact: its canonical manifest, nil where it is not known, and bundles.
func (r *Recorder) Keep(id string, manifest []byte, items []chain.Item) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.found == nil {
		r.found = map[string]recorded{}
	}
	r.found[id] = recorded{manifest, items}
}

// Items returns the bundles that are kept of an artifact.
func (r *Recorder) Items(id string) []chain.Item {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.found[id].items)
}

// Len returns of how many artifacts something is kept, be it that nothing was found.
func (r *Recorder) Len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.found)
}

// Export is what a folder is made of from which a chain can be verified elsewhere.
type Export struct {
	Evidence *Recorder
	Files    map[string][]byte // by name inside the folder: policy, keys, trusted root, instructions
	Revoked  []chain.Item      // lists of what is revoked
}

// WriteExport makes the folder dir of x. What lies there already is an ErrExists; after any error there is no dir.
func WriteExport(x Export, dir string) (err error) {
	parent, name := filepath.Dir(filepath.Clean(dir)), filepath.Base(filepath.Clean(dir))
	if _, err := os.Lstat(dir); err == nil {
		return fmt.Errorf("export to %q: %w", dir, ErrExists)
	}
	temporary, err := os.MkdirTemp(parent, temporaryPrefix+name+"-")
	if err != nil {
		return fmt.Errorf("export to %q: %w", dir, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("export to %q: %w", dir, err), os.RemoveAll(temporary))
		}
	}()
	root, err := os.OpenRoot(temporary)
	if err != nil {
		return err
	}
	defer root.Close()
	if err := root.Chmod(".", 0o755); err != nil {
		return err
	}
	if err := x.write(root); err != nil {
		return err
	}
	return nameTarget(temporary, dir)
}

func (x Export) write(root *os.Root) error {
	list := exportFile{Schema: exportSchema, Artifacts: []exportArtifact{}}
	for _, id := range slices.Sorted(maps.Keys(x.Evidence.found)) {
		sum, err := hashing.ParseSum(id)
		if err != nil {
			return err
		}
		list.Artifacts = append(list.Artifacts, exportArtifact{ID: id})
		folder := exportEvidence + "/" + sum.Hex() + "/"
		kept := x.Evidence.found[id]
		if err := writeLines(root, folder+exportBundles, kept.items); err != nil {
			return err
		}
		if kept.manifest != nil {
			if err := writeNew(root, folder+exportManifest, kept.manifest); err != nil {
				return err
			}
		}
	}
	if len(x.Revoked) > 0 {
		if err := writeLines(root, exportRevoked, x.Revoked); err != nil {
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(x.Files)) {
		if !filepath.IsLocal(filepath.FromSlash(name)) {
			return fmt.Errorf("%q does not lie beside the policy", name)
		}
		if err := writeNew(root, name, x.Files[name]); err != nil {
			return err
		}
	}
	raw, err := json.Marshal(list, jsontext.WithIndent("  "))
	if err != nil {
		return err
	}
	return writeNew(root, exportName, append(raw, '\n'))
}

// writeLines writes bundles, each once. What is none is left out: it was evidence of nothing.
func writeLines(root *os.Root, name string, items []chain.Item) error {
	var content bytes.Buffer
	seen := map[string]bool{}
	for _, item := range items {
		line, err := claimLine(item.Bundle)
		if err != nil || seen[string(line)] {
			continue
		}
		seen[string(line)] = true
		content.Write(line)
	}
	return writeNew(root, name, content.Bytes())
}

// writeNew writes a file that is not there yet, and the folders above it.
func writeNew(root *os.Root, name string, content []byte) error {
	if at := strings.LastIndexByte(name, '/'); at > 0 {
		if err := root.MkdirAll(name[:at], 0o755); err != nil {
			return err
		}
	}
	f, err := root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	if _, err := f.Write(content); err != nil {
		return errors.Join(err, f.Close())
	}
	return errors.Join(f.Sync(), f.Close())
}

// exported is a folder that WriteExport made.
type exported struct {
	dir   string
	lists map[string]bool // artifacts that were looked for
}

func openExport(dir string) (*exported, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	raw, err := readRegular(root, exportName, maxExport)
	if err != nil {
		return nil, err
	}
	var list exportFile
	if err := json.Unmarshal(raw, &list, json.RejectUnknownMembers(true)); err != nil {
		return nil, fmt.Errorf("decode %s: %w", exportName, err)
	}
	if list.Schema != exportSchema || len(list.Artifacts) > maxExported {
		return nil, fmt.Errorf("decode %s: schema %q with %d artifacts", exportName, list.Schema, len(list.Artifacts))
	}
	x := &exported{dir: dir, lists: map[string]bool{}}
	for _, a := range list.Artifacts {
		if _, err := hashing.ParseSum(a.ID); err != nil {
			return nil, fmt.Errorf("decode %s: %w", exportName, err)
		}
		x.lists[a.ID] = true
	}
	return x, nil
}

func (x *exported) find(_ context.Context, id string) (chain.Found, bool, error) {
	if !x.lists[id] {
		return chain.Found{}, false, nil
	}
	found, err := x.read(id)
	if err != nil {
		return chain.Found{}, false, fmt.Errorf("read evidence of %s in %q: %w", id, x.dir, err)
	}
	return found, true, nil
}

func (x *exported) read(id string) (chain.Found, error) {
	root, err := os.OpenRoot(x.dir)
	if err != nil {
		return chain.Found{}, err
	}
	defer root.Close()
	folder := exportEvidence + "/" + strings.TrimPrefix(id, "sha256:") + "/"
	lines, err := readRegular(root, folder+exportBundles, maxClaims)
	if err != nil {
		return chain.Found{}, err
	}
	items, err := splitClaims(filepath.Join(x.dir, filepath.FromSlash(folder+exportBundles)), lines)
	if err != nil {
		return chain.Found{}, err
	}
	found := chain.Found{Sources: []chain.Source{bundles(items)}}
	raw, err := readRegular(root, folder+exportManifest, maxManifest)
	if errors.Is(err, fs.ErrNotExist) {
		return found, nil
	}
	if err != nil {
		return chain.Found{}, err
	}
	if err := checkSum(raw, id); err != nil {
		return chain.Found{}, err
	}
	found.Artifact = chain.NewManifest(raw, id, "", "")
	return found, nil
}

// revoked returns the lists of what is revoked that exported folders among the library's paths hold.
func (l *Library) revoked() ([]chain.Item, error) {
	var items []chain.Item
	for _, s := range l.shelves {
		x, ok := s.(*exported)
		if !ok {
			continue
		}
		root, err := os.OpenRoot(x.dir)
		if err != nil {
			return nil, err
		}
		raw, err := readRegular(root, exportRevoked, maxClaims)
		_ = root.Close()
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read lists of what is revoked in %q: %w", x.dir, err)
		}
		lines, err := splitClaims(filepath.Join(x.dir, exportRevoked), raw)
		if err != nil {
			return nil, err
		}
		items = append(items, lines...)
	}
	return items, nil
}

// Lists returns the source of a policy's lists of what is revoked: where the policy says, and what exported folders among
// the library's paths hold besides. Those stand in for a place that is not to be had here: a registry where nothing is to be
// dialled, a file or layout that lies on another machine. How old a list may be the policy and the list itself say.
func (l *Library) Lists(own Lists) chain.Source { return knownLists{l, own} }

type knownLists struct {
	library *Library
	own     Lists
}

// Evidence reads the lists.
func (k knownLists) Evidence(ctx context.Context) ([]chain.Item, error) {
	exported, err := k.library.revoked()
	if err != nil {
		return nil, err
	}
	items, err := k.own.Evidence(ctx)
	elsewhere := errors.Is(err, ErrOffline) || errors.Is(err, fs.ErrNotExist)
	if elsewhere && len(exported) > 0 {
		return exported, nil
	}
	return append(items, exported...), err
}
