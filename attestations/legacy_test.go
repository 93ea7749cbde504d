package attestations

import "testing"

// TestPythonBytes holds the reading of v0.2.0's signed text to what Python's repr writes.
func TestPythonBytes(t *testing.T) {
	for in, want := range map[string]string{
		"":             `b''`,
		"plain":        `b'plain'`,
		`a"b`:          `b'a"b'`,
		`a'b`:          `b"a'b"`,
		`a'b"c`:        `b'a\'b"c'`,
		"a\\b\n\r\t":   `b'a\\b\n\r\t'`,
		"\x00\x1f\x7f": `b'\x00\x1f\x7f'`,
		"\xc3\xa9":     `b'\xc3\xa9'`,
	} {
		if got := string(appendPythonBytes(nil, []byte(in))); got != want {
			t.Errorf("%q reads %s, want %s", in, got, want)
		}
	}
	pae, err := legacyPAE("t/x", []byte("{}"))
	if err != nil || string(pae) != "DSSEV1 3 t/x 2 b'{}'" {
		t.Errorf("%q, %v", pae, err)
	}
}
