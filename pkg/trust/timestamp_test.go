package trust

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"
	"time"

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

// TestVerifyTimestampHoldsTheAuthorityToItsService: the trusted root says when an authority served; before and after, whoever
// has its key says nothing.
func TestVerifyTimestampHoldsTheAuthorityToItsService(t *testing.T) {
	w, err := witness.New(then)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	message := []byte("a signature")
	for name, c := range map[string]struct {
		at    time.Time
		until string // the authority's end in the trusted root; "": open
		holds bool
	}{
		"in service":      {then, "", true},
		"before it began": {then.AddDate(-2, 0, 0), "", false},
		"before its end":  {then, then.Add(time.Hour).Format(time.RFC3339), true},
		"after its end":   {then, then.Add(-time.Hour).Format(time.RFC3339), false},
	} {
		w.Set(c.at)
		response, err := w.Stamp(message)
		if err != nil {
			t.Fatal(err)
		}
		var root map[string]any
		if err := json.Unmarshal(w.TrustedRoot, &root); err != nil {
			t.Fatal(err)
		}
		if c.until != "" {
			root["timestampAuthorities"].([]any)[0].(map[string]any)["validFor"].(map[string]any)["end"] = c.until
		}
		data, err := json.Marshal(root)
		if err != nil {
			t.Fatal(err)
		}
		s, err := LoadSigstore(data)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		_, err = s.VerifyTimestamp(response, message)
		if c.holds && err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if !c.holds {
			if refused(t, err, "outside its validity ("+c.at.UTC().Format(time.RFC3339)); !errors.Is(err, ErrTimestamp) {
				t.Errorf("%s: %v", name, err)
			}
		}
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
