package trust

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestIdentityHasThreeForms(t *testing.T) {
	for _, test := range []struct {
		id   Identity
		says string // empty: valid
	}{
		{Identity{Key: "k"}, ""},
		{Identity{Key: "k", Name: "ann"}, ""},
		{Identity{CA: "c", Subject: "s"}, ""},
		{Identity{CA: "c", AnySubject: true}, ""},
		{Identity{Issuer: "i", Subject: "s"}, ""},
		{Identity{}, "nobody to trust"},
		{Identity{Name: "ann"}, "nobody to trust"},
		{Identity{AnySubject: true}, "nobody to trust"},
		{Identity{Subject: "s"}, "without an identity provider"},
		{Identity{Issuer: "i"}, "provider without an identity"},
		{Identity{Issuer: "i", AnySubject: true}, "without an identity"},
		{Identity{Issuer: "i", Subject: "s", AnySubject: true}, "never vouches for every subject"},
		{Identity{CA: "c"}, "needs a subject"},
		{Identity{CA: "c", Subject: "s", AnySubject: true}, "needs a subject"},
		{Identity{Key: "k", Subject: "s"}, "no subject"},
		{Identity{Key: "k", AnySubject: true}, "no subject"},
		{Identity{Key: "k", CA: "c", Subject: "s"}, "more than one"},
		{Identity{Key: "k", Issuer: "i", Subject: "s"}, "more than one"},
		{Identity{CA: "c", Issuer: "i", Subject: "s"}, "more than one"},
	} {
		err := test.id.Validate()
		if test.says == "" && err != nil {
			t.Errorf("%+v: %v", test.id, err)
		} else if test.says != "" {
			refused(t, err, test.says)
		}
	}
	if !errors.Is(Identity{}.Validate(), ErrNobody) {
		t.Error("the zero identity is not ErrNobody")
	}
}

func TestIdentityMatchesExactly(t *testing.T) {
	key := Signer{Method: MethodKey, Key: "k"}
	cert := Signer{Method: MethodCertificate, Subject: "s", CA: "c"}
	keyless := Signer{Method: MethodKeyless, Subject: "s", Issuer: "i"}
	signers := []Signer{
		key, cert, keyless, {}, {Method: "other", Key: "k", Subject: "s", CA: "c", Issuer: "i"},
		{Method: MethodKey}, {Method: MethodCertificate}, {Method: MethodKeyless},
		{Method: MethodKeyless, Subject: "s", Issuer: "i/"}, {Method: MethodKeyless, Subject: "S", Issuer: "i"},
		{Method: MethodCertificate, Subject: "s", CA: "C"}, {Method: MethodCertificate, Subject: "", CA: "c"},
		{Method: MethodKey, Key: "K", Subject: "s", Issuer: "i", CA: "c"},
	}
	for _, test := range []struct {
		id   Identity
		want []int // of signers
	}{
		{Identity{}, nil},
		{Identity{Name: "ann"}, nil},
		{Identity{Subject: "s"}, nil},
		{Identity{Issuer: "i"}, nil},
		{Identity{CA: "c"}, nil},
		{Identity{AnySubject: true}, nil},
		{Identity{Key: "k", Subject: "s"}, nil},
		{Identity{Key: "k"}, []int{0}},
		{Identity{CA: "c", Subject: "s"}, []int{1}},
		{Identity{CA: "c", AnySubject: true}, []int{1, 11}},
		{Identity{Issuer: "i", Subject: "s"}, []int{2}},
		{Identity{Issuer: ".*", Subject: ".*"}, nil},
	} {
		for i, s := range signers {
			want := false
			for _, n := range test.want {
				want = want || n == i
			}
			if test.id.Matches(s) != want {
				t.Errorf("%+v matches %+v: %v", test.id, s, !want)
			}
		}
	}
}

func TestNamesForPeopleShowNoControlCharacters(t *testing.T) {
	const evil = "ann\x1b[2J\u202e@example.com\n"
	for _, s := range []string{
		Signer{Method: MethodKeyless, Subject: evil, Issuer: evil}.String(),
		Signer{Method: MethodCertificate, Subject: evil, CA: strings.Repeat("c", 64)}.String(),
		Identity{Issuer: evil, Subject: evil}.String(),
		Identity{CA: strings.Repeat("c", 64), Subject: evil}.String(),
	} {
		if strings.ContainsAny(s, "\x1b\u202e\n") || !strings.Contains(s, "example.com") {
			t.Errorf("%q", s)
		}
	}
	for got, want := range map[string]string{
		Signer{}.String(): "nobody",
		Signer{Method: MethodKey, Key: "k"}.String():                                            "key k",
		Signer{Method: MethodKeyless, Subject: "ann@example.com", Issuer: "https://i"}.String(): "ann@example.com (https://i)",
		Signer{Method: MethodCertificate, Subject: "CN=ä b", CA: "0123456789abcdef"}.String():   "CN=ä b (ca 0123456789ab)",
		Identity{Name: "ann", Key: "k"}.String():                                                "ann",
		Identity{Key: "k"}.String():                                                             "key k",
		Identity{CA: "0123456789abcdef", AnySubject: true}.String():                             "every leaf under ca 0123456789ab",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestRootsZeroValueTrustsNobody(t *testing.T) {
	if !(Roots{}).Empty() {
		t.Error("the zero Roots trusts somebody")
	}
	for name, r := range map[string]Roots{"key": {Keys: []Key{{}}}, "authority": {Authorities: []Authority{{}}}, "sigstore": {Sigstore: &Sigstore{}}} {
		if r.Empty() {
			t.Errorf("%s: Roots is empty", name)
		}
	}
	if got := (Roots{Now: func() time.Time { return then }}).Time(); !got.Equal(then) {
		t.Errorf("time is %s", got)
	}
	if (Roots{}).Time().IsZero() {
		t.Error("without a clock there is no time")
	}
}
