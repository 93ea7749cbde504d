package interop

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hallmark-project/hallmark/test/interop/modelsigning"
)

func TestBundlesOfTheReferenceVerifyHere(t *testing.T) {
	client := reference(t)
	everyCombination(t, func(t *testing.T, m model, p party) {
		signature := m.signature()
		must(t, theirs(t, client, "sign", p.method, m, signature, p.sign))
		holds(t, client, m, p, signature)
	})
}

func TestDetachedBundlesOfTheReferenceVerifyHere(t *testing.T) {
	client := reference(t)
	m, p := directory(t, nil), keyed(t, "ecdsa-p256")
	signature := filepath.Join(t.TempDir(), "elsewhere.sig")
	must(t, theirs(t, client, "sign", p.method, m, signature, p.sign))
	holds(t, client, m, p, signature)
}

func TestOurBundlesVerifyWithTheReference(t *testing.T) {
	client := reference(t)
	everyCombination(t, func(t *testing.T, m model, p party) {
		must(t, ours(t, "sign", m, m.signature(), p.sign))
		if _, err := os.Stat(m.claims()); err != nil {
			t.Fatalf("the claims, which have to be out of the reference's way, are not there: %v", err)
		}
		m.folder = m.single()
		holds(t, client, m, p, m.signature())
	})
}

// TestTheReferenceNamesASingleFileOtherwise pins a difference: OMS §6.1.2 has a single file named by its base name, as we
// do; the reference, up to this version, names it "." and finds no other name. So it is given the file's folder above.
func TestTheReferenceNamesASingleFileOtherwise(t *testing.T) {
	client := reference(t)
	m, p := singleFile(t), keyed(t, "ecdsa-p256")
	must(t, ours(t, "sign", m, m.signature(), p.sign))
	a := ask(t, theirs(t, client, "verify", p.method, m, m.signature(), p.verify))
	if a.code != 1 || !strings.Contains(a.out, "Extra files found in model 'weights.safetensors': .") {
		t.Errorf("exit %d; if the reference now takes base names, verify single files like all others\n%s", a.code, a.out)
	}
	m.folder = true
	holds(t, client, m, p, m.signature())
}

func TestOurDetachedBundlesVerifyWithTheReference(t *testing.T) {
	client := reference(t)
	m, p := directory(t, nil), keyed(t, "ecdsa-p256")
	signature := filepath.Join(t.TempDir(), "elsewhere.sig")
	must(t, ours(t, "sign", m, signature, p.sign))
	holds(t, client, m, p, signature)
}

// TestSerializationsOfTheReferenceVerifyHere signs in ways that its command line doesn't offer, but its library does.
func TestSerializationsOfTheReferenceVerifyHere(t *testing.T) {
	client := reference(t)
	const program = `
import sys
import model_signing as ms
path, signature, key, how = sys.argv[1:]
hashing = getattr(ms.hashing.Config(), how.split(":")[0])(**eval(how.split(":", 1)[1]))
hashing.set_ignored_paths(paths=[signature])
ms.signing.Config().use_elliptic_key_signer(private_key=key).set_hashing_config(hashing).sign(path, signature)
`
	for name, how := range map[string]string{
		"shards":         `use_shard_serialization:{"shard_size": 7}`,
		"shards, blake2": `use_shard_serialization:{"shard_size": 7, "hashing_algorithm": "blake2"}`,
		"files, blake2":  `use_file_serialization:{"hashing_algorithm": "blake2"}`,
		"files, blake3":  `use_file_serialization:{"hashing_algorithm": "blake3"}`,
	} {
		t.Run(name, func(t *testing.T) {
			m, p := directory(t, nil), keyed(t, "ecdsa-p256")
			must(t, client.Script(t.Context(), program, m.path, m.signature(), p.sign[1], how))
			saysYes(t, m, p, m.signature())
			flipByte(t, m.flip)
			saysNo(t, m, p, m.signature(), "digest-mismatch")
		})
	}
}

// TestBothRefuseAStrangersKey holds the two to the same no where the files are right and the signer is not.
func TestBothRefuseAStrangersKey(t *testing.T) {
	client := reference(t)
	m, signer, stranger := directory(t, nil), keyed(t, "ecdsa-p256"), keyed(t, "ecdsa-p256")
	must(t, ours(t, "sign", m, m.signature(), signer.sign))
	saysNo(t, m, stranger, m.signature(), "untrusted-signer")
	if a := ask(t, theirs(t, client, "verify", stranger.method, m, m.signature(), stranger.verify)); a.code != 1 {
		t.Errorf("the reference: exit %d for a stranger's key, want 1\n%s", a.code, a.out)
	}
	holds(t, client, m, signer, m.signature())
}

// everyCombination runs test with every shape of an artifact signed in every way.
func everyCombination(t *testing.T, test func(*testing.T, model, party)) {
	t.Helper()
	for shape, makeModel := range shapes {
		for method, makeParty := range parties {
			t.Run(shape+"/"+method, func(t *testing.T) { test(t, makeModel(t), makeParty(t)) })
		}
	}
}

// holds asserts that both tools say yes to m, both say no with one byte flipped, and yes again when it is flipped back.
func holds(t *testing.T, client *modelsigning.Client, m model, p party, signature string) {
	t.Helper()
	both := func() {
		t.Helper()
		saysYes(t, m, p, signature)
		if a := ask(t, theirs(t, client, "verify", p.method, m, signature, p.verify)); a.code != 0 {
			t.Errorf("the reference: exit %d, want 0\n%s", a.code, a.out)
		}
	}
	both()
	flipByte(t, m.flip)
	saysNo(t, m, p, signature, "digest-mismatch")
	a := ask(t, theirs(t, client, "verify", p.method, m, signature, p.verify))
	if a.code != 1 || !strings.Contains(a.out, "Hash mismatch") {
		t.Errorf("the reference: exit %d with a byte flipped, want 1 and why\n%s", a.code, a.out)
	}
	flipByte(t, m.flip)
	for _, folder := range m.ignored { // what the signer left out may change
		flipByte(t, filepath.Join(folder, "x"))
	}
	both()
}

func saysYes(t *testing.T, m model, p party, signature string) {
	t.Helper()
	if a := ask(t, ours(t, "verify", m, signature, p.verify)); a.code != 0 || !strings.HasPrefix(a.out, "yes ") {
		t.Errorf("hallmark: exit %d, want 0 and a yes\n%s", a.code, a.out)
	}
}

func saysNo(t *testing.T, m model, p party, signature, reason string) {
	t.Helper()
	if a := ask(t, ours(t, "verify", m, signature, p.verify)); a.code != 1 || !strings.Contains(a.out, reason) {
		t.Errorf("hallmark: exit %d, want 1 and %s\n%s", a.code, reason, a.out)
	}
}

// ours is a command line of hallmark. Flags keep the underscores that the reference implementation's users type.
// What is signed where it belongs needs no --signature, and the exclusions that a signature records none to verify.
func ours(t *testing.T, verb string, m model, signature string, flags []string) *exec.Cmd {
	t.Helper()
	args := append([]string{verb, m.path}, flags...)
	if signature != m.signature() {
		args = append(args, "--signature", signature)
	}
	if verb == "sign" {
		for _, path := range m.ignored {
			args = append(args, "--ignore-paths", path)
		}
	}
	return hallmark(t, args...)
}

// theirs is a command line of the reference implementation.
func theirs(t *testing.T, client *modelsigning.Client, verb, method string, m model, signature string, flags []string) *exec.Cmd {
	t.Helper()
	args := append([]string{verb, method}, flags...)
	args = append(args, "--signature", signature)
	if m.folder {
		args = append(args, "--ignore_unsigned_files", filepath.Dir(m.path))
	} else {
		args = append(args, m.path)
	}
	if verb == "sign" {
		for _, path := range m.ignored {
			args = append(args, "--ignore-paths", path)
		}
	}
	return client.CLI(t.Context(), args...)
}
