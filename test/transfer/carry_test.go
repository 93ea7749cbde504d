package transfer

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hallmark-project/hallmark/attestations"
	"github.com/hallmark-project/hallmark/attestations/chain"
	"github.com/hallmark-project/hallmark/pkg/policy"
	"github.com/hallmark-project/hallmark/registry"
	"github.com/hallmark-project/hallmark/test/lab"
)

// base is the repository beside, that has blobs to mount.
const base = "team/base"

// carriers are the operations that begin or end in another place than a directory. Like those of sweep_test.go they meet
// every fault; what lies on the other side of the fault is sound.
var carriers = []operation{
	{name: "push with mounts", stock: withBase, run: runPushMounting},
	{name: "push over TLS", only: "fallback tag", stock: nothing, tls: true, run: runPush},
	{name: "pull over TLS", only: "referrers API", tls: true, run: runPull},
	{name: "sign in place", run: runSign},
	{name: "copy from a registry", run: runCopyOut},
	{name: "copy to a registry", stock: nothing, run: runCopyIn},
	{name: "copy within a registry", only: "fallback tag", run: runCopyWithin},
	{name: "copy to a layout", only: "referrers API", run: runCopyToLayout},
	{name: "copy from a layout", only: "fallback tag", stock: nothing, run: runCopyFromLayout},
	{name: "copy to an archive", only: "fallback tag", run: runCopyToArchive},
}

// nothing is how an operation begins that fills a registry.
func nothing(_ *lab.Registry, o lab.Options) *lab.Registry { return lab.New(o) }

// withBase has the artifact's blobs in another repository of the registry.
func withBase(full *lab.Registry, o lab.Options) *lab.Registry {
	g := lab.New(o)
	for _, d := range full.Blobs(repository) {
		raw, _ := full.Blob(repository, d)
		g.PutBlob(base, raw)
	}
	return g
}

// runPushMounting is push with --mount-from. A registry that mounts nothing is as good as one that does.
func runPushMounting(ctx context.Context, t *testing.T, x *trial) bool {
	return x.pushed(ctx, t, registry.PushOptions{Workers: 1, MountFrom: []string{"team/none", base}})
}

// runSign is hallmark sign REF, by the same signer once more. What it signs is the artifact and nothing else, whatever a
// registry says lies there; what was acknowledged is there, and what was there stays.
func runSign(ctx context.Context, t *testing.T, x *trial) bool {
	made, err := x.signInPlace(ctx)
	if !errors.As(err, new(foreign)) {
		mustSayWhy(t, ctx, err)
	} else if !x.fault.Lies {
		t.Errorf("what merely broke is a foreign manifest: %v", err)
	}
	if made.ID != "" && made.ID != x.canonical.ID {
		t.Errorf("%s was signed, the artifact is %s", made.ID, x.canonical.ID)
	}
	want := slices.Clone(x.evidence)
	if err == nil {
		want = append(want, chain.Item{Where: "the new signature", Bundle: made.Signature}, chain.Item{Where: "what cosign reads", Bundle: made.ForCosign})
	}
	x.mustHold(t, x.registry, want)
	return err == nil
}

// signInPlace returns what was signed also where it could not be attached.
func (x *trial) signInPlace(ctx context.Context) (attestations.Signed, error) {
	stored, err := registry.Find(ctx, x.ref, x.options())
	if err != nil {
		return attestations.Signed{}, err
	}
	defer stored.Close()
	m, err := stored.List()
	if err != nil {
		return attestations.Signed{}, foreign{err}
	}
	made, err := attestations.SignArtifact(ctx, m, attestations.KindModel, x.by)
	if err != nil {
		return made, err
	}
	return made, stored.Attach(ctx, made.Signature, made.ForCosign)
}

// foreign is an error about a manifest that was read and is not one that we write: no registry.Error, for the registry
// did nothing wrong that could be told.
type foreign struct{ error }

// runCopyOut copies out of the registry that has the fault, into a sound one.
func runCopyOut(ctx context.Context, t *testing.T, x *trial) bool {
	if x.other == nil {
		x.other = lab.New(kinds["fallback tag"])
	}
	to := refAt(t, lab.Serve(t, x.other))
	return x.carried(ctx, t, x.pinned(t), to, func() bool { _, ok := x.other.Tags(repository)[tag]; return ok })
}

// runCopyIn copies into the registry that has the fault, out of a sound one.
func runCopyIn(ctx context.Context, t *testing.T, x *trial) bool {
	from := refAt(t, lab.Serve(t, x.source))
	return x.carried(ctx, t, from, x.ref, func() bool { _, ok := x.registry.Tags(repository)[tag]; return ok })
}

// runCopyWithin has both ends behind the fault.
func runCopyWithin(ctx context.Context, t *testing.T, x *trial) bool {
	const there = "team/copied"
	to := mustRef(t, x.ref.Host()+"/"+there+":"+tag)
	return x.carried(ctx, t, x.pinned(t), to, func() bool { _, ok := x.registry.Tags(there)[tag]; return ok })
}

func runCopyToLayout(ctx context.Context, t *testing.T, x *trial) bool {
	to := mustRef(t, "oci:"+x.dir+".layout:"+tag)
	return x.carried(ctx, t, x.pinned(t), to, func() bool {
		repo, err := registry.Open(to, registry.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer repo.Close()
		_, err = repo.Resolve(t.Context(), to)
		return err == nil
	})
}

// runCopyToArchive: the one file is whole or not there, and nothing is left beside it.
func runCopyToArchive(ctx context.Context, t *testing.T, x *trial) bool {
	file := x.dir + ".tar"
	there := func() bool { _, err := os.Lstat(file); return !errors.Is(err, fs.ErrNotExist) }
	ok := x.carried(ctx, t, x.pinned(t), mustRef(t, "oci-archive:"+file+":"+tag), there)
	if names := left(t, filepath.Dir(file)); len(names) > 1 || !ok && len(names) > 0 {
		t.Errorf("copied: %t, and %v lies there", ok, names)
	}
	return ok
}

func runCopyFromLayout(ctx context.Context, t *testing.T, x *trial) bool {
	return x.carried(ctx, t, mustRef(t, "oci:"+x.layout+":"+tag), x.ref, func() bool { _, ok := x.registry.Tags(repository)[tag]; return ok })
}

// pinned names the artifact by digest: what else a registry serves under it is not copied.
func (x *trial) pinned(t *testing.T) registry.Ref { return mustRef(t, x.ref.Pinned(x.canonical.ID)) }

// carried copies, and checks that what has its tag at the target is the artifact as a whole: it verifies there and can be
// pulled from there. tagged reports whether the tag is there, past any fault.
func (x *trial) carried(ctx context.Context, t *testing.T, from, to registry.Ref, tagged func() bool) bool {
	t.Helper()
	copied, err := registry.Copy(ctx, from, to, registry.CopyOptions{From: x.options(), To: x.options()})
	mustSayWhy(t, ctx, err)
	there := tagged()
	switch {
	case err == nil && copied.Digest != x.canonical.ID:
		t.Errorf("copied %s", copied.Digest)
	case err == nil && !there && x.fault.Name != "created":
		t.Error("copied, and the tag is not there")
	case err == nil && copied.Evidence != len(x.evidence) && !x.fault.Lies:
		t.Errorf("%d pieces of evidence came along", copied.Evidence)
	}
	if there {
		x.mustBeWhole(t, x.around(t, to), err == nil && copied.Evidence < len(x.evidence))
	}
	return err == nil && there
}

// around is the same place with no fault before it.
func (x *trial) around(t *testing.T, to registry.Ref) registry.Ref {
	t.Helper()
	if to.Host() != x.ref.Host() {
		return to
	}
	return mustRef(t, lab.Serve(t, x.registry)+strings.TrimPrefix(to.Name(), to.Host())+":"+tag)
}

// mustBeWhole fails unless the artifact verifies and can be pulled from a place. Of evidence that a source hid nobody
// can know: without it there is no evidence, and nothing else is wrong.
func (x *trial) mustBeWhole(t *testing.T, ref registry.Ref, hidden bool) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "whole")
	d, err := x.artifact.pull(t.Context(), ref, dir, options(long), 1)
	if hidden && err == nil && d.Verdict() == policy.No && len(d.Reasons()) == 1 && d.Reasons()[0] == policy.NoEvidence {
		return
	}
	if err != nil || d.Verdict() != policy.Yes {
		t.Errorf("it has its tag, and is %s because of %v (%v)", d.Verdict(), d.Reasons(), err)
		return
	}
	x.checkTarget(t, dir, true)
}
