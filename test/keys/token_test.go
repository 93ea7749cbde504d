package keys

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/hallmark-project/hallmark/test/program"
)

// modules are where distributions put SoftHSM's library.
var modules = []string{
	"/usr/lib/softhsm/libsofthsm2.so", "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
	"/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so", "/usr/lib64/pkcs11/libsofthsm2.so", "/usr/local/lib/softhsm/libsofthsm2.so",
}

// softHSM returns SoftHSM's library, which it installs where it may.
func softHSM(t *testing.T) string {
	t.Helper()
	find := func() string {
		_, noUtil := exec.LookPath("softhsm2-util")
		for _, m := range modules {
			if _, err := os.Stat(m); err == nil && noUtil == nil {
				return m
			}
		}
		return ""
	}
	if m := find(); m != "" {
		return m
	}
	if os.Geteuid() == 0 {
		c := exec.Command("sh", "-c", "apt-get update -qq && apt-get install -y -qq softhsm2")
		c.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		if out, err := c.CombinedOutput(); err != nil {
			t.Logf("install softhsm2: %v\n%s", err, out)
		}
	}
	m := find()
	if m == "" {
		missing(t, "needs softhsm2-util and libsofthsm2.so: package softhsm2")
	}
	return m
}

func command(t *testing.T, env []string, name string, args ...string) []byte {
	t.Helper()
	c := exec.Command(name, args...)
	c.Env = env
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", name, err, out)
	}
	return out
}

func TestTokenKeys(t *testing.T) {
	long(t)
	module := softHSM(t)
	withPKCS11, err := program.BuildPKCS11(folder)
	if err != nil {
		missing(t, err.Error())
	}
	dir := t.TempDir()
	config := filepath.Join(dir, "softhsm2.conf")
	if err := os.Mkdir(filepath.Join(dir, "tokens"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(config, []byte("directories.tokendir = "+filepath.Join(dir, "tokens")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	const pin = "4711"
	d := newDesk(t, withPKCS11, "SOFTHSM2_CONF="+config, "PIN="+pin)
	d.write("pin", []byte(pin+"\n"))
	d.write("wrong", []byte("0815"))
	command(t, d.env, "softhsm2-util", "--init-token", "--free", "--label", "the token", "--pin", pin, "--so-pin", "12345678")
	// store makes a key pair and puts it into the token; the public key stays in the desk too.
	store := func(d *desk, algorithm, label, id string) {
		t.Helper()
		d.run(0, "keygen", label, "--algorithm", algorithm)
		command(t, d.env, "softhsm2-util", "--import", filepath.Join(d.dir, label+".key"), "--token", "the token", "--pin", pin, "--label", label, "--id", id)
	}
	uri := func(key, query string) string {
		return "pkcs11:token=the%20token;" + key + "?module-path=" + module + query
	}
	source := "&pin-source=" + filepath.Join(d.dir, "pin")

	for i, algorithm := range []string{"ecdsa-p256", "ecdsa-p384", "ecdsa-p521", "rsa-2048"} {
		d := newDesk(t, withPKCS11, "SOFTHSM2_CONF="+config)
		store(d, algorithm, algorithm, "0"+string(rune('1'+i)))
		d.run(0, "sign", "./chat", "--private-key", uri("object="+algorithm, source))
		d.says(d.run(0, "verify", "./chat", "--public-key", algorithm+".pub"), "ok       signature   key ")
	}

	store(d, "ecdsa-p256", "twin", "0a")
	d.run(0, "keygen", "second")
	command(t, d.env, "softhsm2-util", "--import", filepath.Join(d.dir, "second.key"), "--token", "the token", "--pin", pin, "--label", "twin", "--id", "0b")
	for name, c := range map[string]struct {
		key, query, says string
	}{
		"no such key":     {"object=nobody", source, "the token has no key pair of this name"},
		"two of one name": {"object=twin", source, "the token has 2 keys of this name: add id="},
		"wrong PIN":       {"object=twin;id=%0a", "&pin-source=file:" + filepath.Join(d.dir, "wrong"), "CKR_PIN_INCORRECT"},
		"no PIN":          {"object=twin;id=%0a", "", "no terminal to ask"},
		"no PIN file":     {"object=twin;id=%0a", "&pin-source=/no/such/pin", "no such file"},
	} {
		if d.says(d.run(3, "sign", "./chat", "--private-key", uri(c.key, c.query)), c.says); t.Failed() {
			t.Fatalf("in %q", name)
		}
		d.unsigned()
	}
	d.says(d.run(3, "sign", "./chat", "--private-key", "pkcs11:token=other;object=twin?module-path="+module+source), "log into token")
	d.says(d.run(3, "sign", "./chat", "--private-key", "pkcs11:token=t;object=k?module-path=/no/such.so"+source), "load PKCS#11 library")
	d.run(0, "sign", "./chat", "--private-key", uri("object=twin;id=%0a", ""), "--password-env", "PIN")
	d.run(0, "verify", "./chat", "--public-key", "twin.pub")
	d.run(1, "verify", "./chat", "--public-key", "second.pub")
	out := d.run(0, "sign", "./chat", "--private-key", uri("id=%0b", "&pin-value="+pin))
	d.says(out, "hallmark: warning: the PIN is in the key's URI")
	d.says(out, "chat/claims.sig") // somebody else than the first twin
	d.run(0, "verify", "./chat", "--public-key", "second.pub")
}
