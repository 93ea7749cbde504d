package trust

import (
	"bytes"
	"errors"
	"testing"

	"github.com/hallmark-project/hallmark/test/lab/witness"
)

// stamped is a trusted root, a message and its timestamp.
func stamped(t testing.TB) (s *Sigstore, message, response []byte) {
	t.Helper()
	w, err := witness.New(then)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	if s, err = LoadSigstore(w.TrustedRoot); err != nil {
		t.Fatal(err)
	}
	message = []byte("a signature")
	if response, err = w.Stamp(message); err != nil {
		t.Fatal(err)
	}
	return s, message, response
}

func TestVerifyTimestamp(t *testing.T) {
	s, message, response := stamped(t)
	stamp, err := s.VerifyTimestamp(response, message)
	if err != nil || !stamp.Time.Equal(then) || stamp.Authority != "https://tsa.test" {
		t.Errorf("%+v: %v", stamp, err)
	}
	stranger, _, other := stamped(t)
	for name, c := range map[string]struct {
		root     *Sigstore
		response []byte
		message  []byte
		says     string
	}{
		"another message":   {s, response, []byte("another"), "it is on another message"},
		"another authority": {stranger, response, message, "by no authority of the trusted root"},
		"another's answer":  {s, other, message, "by no authority of the trusted root"},
		"cut":               {s, response[:len(response)-1], message, "decode"},
		"nothing":           {s, nil, message, "decode"},
		"too long":          {s, append(bytes.Clone(response), make([]byte, MaxTimestamp)...), message, "at most"},
	} {
		_, err := c.root.VerifyTimestamp(c.response, c.message)
		if refused(t, err, c.says); !errors.Is(err, ErrTimestamp) {
			t.Errorf("%s: %v does not wrap ErrTimestamp", name, err)
		}
	}
	if _, err := s.Earliest(nil, message); !errors.Is(err, ErrTimestamp) {
		t.Errorf("no timestamps: %v", err)
	}
}

func FuzzVerifyTimestamp(f *testing.F) {
	s, message, response := stamped(f)
	f.Add(response)
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		stamp, err := s.VerifyTimestamp(data, message)
		if err == nil && !stamp.Time.Equal(then) {
			t.Errorf("another time holds: %v", stamp)
		}
		if err != nil && !errors.Is(err, ErrTimestamp) {
			t.Errorf("error of another kind: %v", err)
		}
	})
}
