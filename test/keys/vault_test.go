package keys

import (
	"testing"

	"github.com/hallmark-project/hallmark/test/lab/vault"
	"github.com/hallmark-project/hallmark/test/program"
)

func TestVaultKeys(t *testing.T) {
	long(t)
	withKMS, err := program.BuildKMS(folder)
	if err != nil {
		t.Fatal(err)
	}
	v := vault.New()
	defer v.Close()
	d := newDesk(t, withKMS, "VAULT_ADDR="+v.Addr, "VAULT_TOKEN="+vault.Token)
	sign := []string{"sign", "./chat", "--private-key", "hashivault://trainer"}
	verify := []string{"verify", "./chat", "--public-key", "trainer.pub"}
	public := func(name string) {
		t.Helper()
		data, err := v.PublicKey(name)
		if err != nil {
			t.Fatal(err)
		}
		d.write("trainer.pub", data)
	}

	d.says(d.run(3, sign...), "could not read data from transit key path: /transit/keys/trainer")
	if err := v.Create("trainer", "ecdsa-p256"); err != nil {
		t.Fatal(err)
	}
	hang := make(chan struct{})
	for name, c := range map[string]struct {
		fault vault.Fault
		says  string
	}{
		"sealed":            {vault.Fault{Sealed: true}, "Vault is sealed"},
		"forbidden":         {vault.Fault{Status: 403}, "Code: 403"},
		"failing":           {vault.Fault{Status: 500}, "lab fault"},
		"no base64":         {vault.Fault{Signature: "vault:v1:%%%"}, "illegal base64"},
		"another signature": {vault.Fault{Signature: "vault:v1:AAAA"}, "signature does not verify with the public key that it named before"},
		"rotated meanwhile": {vault.Fault{Rotate: true}, "signature does not verify with the public key that it named before"},
		"hanging":           {vault.Fault{Hang: hang}, "no answer within 1s"},
	} {
		v.Break(c.fault)
		out := d.run(3, append(sign, "--timeout", "1s")...)
		d.says(out, `"hashivault://trainer"`)
		if d.says(out, c.says); t.Failed() {
			t.Errorf("in %q", name)
		}
		d.unsigned()
	}
	close(hang)
	v.Break(vault.Fault{})
	stranger := newDesk(t, withKMS, "VAULT_ADDR="+v.Addr, "VAULT_TOKEN=hvs.wrong")
	stranger.says(stranger.run(3, sign...), "permission denied")
	stranger.unsigned()

	before := v.Signed()
	d.run(0, sign...)
	if made := v.Signed() - before; made != 2 {
		t.Errorf("%d signatures were made in Vault, not 2", made)
	}
	public("trainer")
	d.says(d.run(0, verify...), "ok       signature   key ")
	if err := v.Create("trainer", "ecdsa-p256"); err != nil { // version 2
		t.Fatal(err)
	}
	d.run(0, verify...)
	public("trainer")
	d.run(1, verify...)
	d.run(0, sign...)
	d.run(0, verify...)

	for _, kind := range []string{"ecdsa-p384", "ecdsa-p521", "ed25519", "rsa-2048"} {
		d := newDesk(t, withKMS, "VAULT_ADDR="+v.Addr, "VAULT_TOKEN="+vault.Token)
		if err := v.Create(kind, kind); err != nil {
			t.Fatal(err)
		}
		d.run(0, "sign", "./chat", "--private-key", "hashivault://"+kind)
		data, err := v.PublicKey(kind)
		if err != nil {
			t.Fatal(err)
		}
		d.write("trainer.pub", data)
		d.run(0, verify...)
	}
}
