package hashing

import (
	"encoding/hex"
	"strings"
	"testing"
)

// TestAlgorithmKnownAnswers holds the algorithms to the values that their specifications publish: the empty string and
// "abc" (FIPS 180-4, RFC 7693 appendix A, the BLAKE3 paper's reference code).
func TestAlgorithmKnownAnswers(t *testing.T) {
	answers := []struct {
		algorithm Algorithm
		text, hex string
	}{
		{SHA256, "", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
		{SHA256, "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
		{"", "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
		{BLAKE2b, "", "786a02f742015903c6c6fd852552d272912f4740e15847618a86e217f71f5419" +
			"d25e1031afee585313896444934eb04b903a685b1448b755d56f701afe9be2ce"},
		{BLAKE2b, "abc", "ba80a53f981c4d0d6a2797b69f12f6e94c212f14685ac4b74b12bb6fdbffa2d1" +
			"7d87c5392aab792dc252d5de4533cc9518d38aa8dbf1925ab92386edd4009923"},
		{BLAKE3, "", "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"},
		{BLAKE3, "abc", "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85"},
	}
	for _, a := range answers {
		h, err := a.algorithm.New()
		if err != nil {
			t.Fatalf("%q: %v", a.algorithm, err)
		}
		h.Write([]byte(a.text))
		sum := h.Sum(nil)
		if got := hex.EncodeToString(sum); got != a.hex {
			t.Errorf("%s(%q) is %s, want %s", a.algorithm, a.text, got, a.hex)
		}
		if a.algorithm.Size() != len(sum) {
			t.Errorf("%s: size %d, digest of %d bytes", a.algorithm, a.algorithm.Size(), len(sum))
		}
	}
}

func TestParseAlgorithmTakesExactNamesOnly(t *testing.T) {
	for _, a := range []Algorithm{SHA256, BLAKE2b, BLAKE3} {
		if got, err := ParseAlgorithm(string(a)); err != nil || got != a {
			t.Errorf("%q: %q, %v", a, got, err)
		}
	}
	for _, s := range []string{"", "SHA256", "sha256 ", "sha-256", "sha512", "blake2b-512", "blake2", "sha256\n"} {
		if got, err := ParseAlgorithm(s); err == nil || got != "" {
			t.Errorf("%q: taken for %q", s, got)
		}
	}
}

func TestAlgorithmUnknown(t *testing.T) {
	const unknown = Algorithm("md5")
	if h, err := unknown.New(); err == nil || h != nil {
		t.Errorf("New: %v, %v", h, err)
	}
	if n := unknown.Size(); n != 0 {
		t.Errorf("Size: %d", n)
	}
}

func TestSumText(t *testing.T) {
	const text = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
	s, err := ParseSum(text)
	if err != nil {
		t.Fatal(err)
	}
	if s.String() != text || s.Hex() != strings.TrimPrefix(text, "sha256:") || s[0] != 0xba || s[31] != 0xad {
		t.Errorf("%s came back as %s, hex %s, bytes %x", text, s, s.Hex(), s[:])
	}
	digits := s.Hex()
	for _, bad := range []string{
		"", "sha256:", digits, "sha256:" + digits[1:], "sha256:" + digits + "0", "sha256:" + strings.ToUpper(digits),
		"SHA256:" + digits, "sha512:" + digits, " " + text, text + "\n", "sha256:" + digits[1:] + "g", "sha256:" + digits[3:] + "é0",
		"sha256:" + digits[1:] + "\x00", "sha256:" + strings.Repeat("0", 1<<20),
	} {
		s, err := ParseSum(bad)
		if err == nil || s != (Sum{}) {
			t.Errorf("%.80q was taken for %s", bad, s)
			continue
		}
		if len(err.Error()) > 300 {
			t.Errorf("an error of %d bytes", len(err.Error()))
		}
	}
}
