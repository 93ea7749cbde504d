package trust

import (
	"errors"
	"testing"
	"time"
)

func TestWindowCheck(t *testing.T) {
	from, until, revoked := begin, end, then // revoked lies between
	tick := time.Nanosecond
	var none time.Time
	both := Window{ValidFrom: from, ValidUntil: until}
	all := Window{ValidFrom: from, ValidUntil: until, RevokedAt: revoked}
	for name, c := range map[string]struct {
		window Window
		span   Span
		want   error
	}{
		"no window, no time":         {Window{}, Span{}, nil},
		"no window, some time":       {Window{}, Span{NotAfter: until}, nil},
		"end without a time":         {Window{ValidUntil: until}, Span{}, ErrKeyTime},
		"end, lower bound alone":     {Window{ValidUntil: until}, Span{NotBefore: from}, ErrKeyTime},
		"before the end":             {Window{ValidUntil: until}, Span{NotAfter: until.Add(-tick)}, nil},
		"at the end":                 {Window{ValidUntil: until}, Span{NotAfter: until}, nil},
		"after the end":              {Window{ValidUntil: until}, Span{NotAfter: until.Add(tick)}, ErrKeyExpired},
		"begun inside, seen after":   {Window{ValidUntil: until}, Span{NotBefore: from, NotAfter: until.Add(tick)}, ErrKeyExpired},
		"revoked without a time":     {Window{RevokedAt: revoked}, Span{}, ErrKeyTime},
		"revoked, lower bound alone": {Window{RevokedAt: revoked}, Span{NotBefore: from}, ErrKeyTime},
		"before the revocation":      {Window{RevokedAt: revoked}, Span{NotAfter: revoked.Add(-tick)}, nil},
		"at the revocation":          {Window{RevokedAt: revoked}, Span{NotAfter: revoked}, ErrKeyRevoked},
		"after the revocation":       {Window{RevokedAt: revoked}, Span{NotAfter: revoked.Add(tick)}, ErrKeyRevoked},
		"stamped again later":        {Window{RevokedAt: revoked}, Span{NotBefore: from, NotAfter: until}, ErrKeyRevoked},
		"beginning without a time":   {Window{ValidFrom: from}, Span{}, ErrKeyTime},
		"beginning, seen later":      {Window{ValidFrom: from}, Span{NotAfter: until}, ErrKeyTime},
		"beginning, seen earlier":    {Window{ValidFrom: from}, Span{NotAfter: from.Add(-tick)}, ErrKeyEarly},
		"beginning, seen just then":  {Window{ValidFrom: from}, Span{NotAfter: from}, ErrKeyTime},
		"begun before":               {Window{ValidFrom: from}, Span{NotBefore: from.Add(-tick), NotAfter: until}, ErrKeyEarly},
		"begun just then":            {Window{ValidFrom: from}, Span{NotBefore: from, NotAfter: until}, nil},
		"begun later, seen by none":  {Window{ValidFrom: from}, Span{NotBefore: from.Add(tick)}, nil},
		"wholly inside":              {both, Span{NotBefore: from, NotAfter: until}, nil},
		"an instant inside":          {both, Span{NotBefore: then, NotAfter: then}, nil},
		"reaching out below":         {both, Span{NotBefore: from.Add(-tick), NotAfter: then}, ErrKeyEarly},
		"reaching out above":         {both, Span{NotBefore: then, NotAfter: until.Add(tick)}, ErrKeyExpired},
		"around the window":          {both, Span{NotBefore: from.Add(-tick), NotAfter: until.Add(tick)}, ErrKeyExpired},
		"wholly before":              {both, Span{NotBefore: none, NotAfter: from.Add(-tick)}, ErrKeyEarly},
		"inside before revocation":   {all, Span{NotBefore: from, NotAfter: revoked.Add(-tick)}, nil},
		"inside after revocation":    {all, Span{NotBefore: from, NotAfter: revoked}, ErrKeyRevoked},
		"revoked before it began":    {Window{ValidFrom: then, RevokedAt: from}, Span{NotBefore: then, NotAfter: then}, ErrKeyRevoked},
		"revoked, then expired":      {Window{ValidUntil: then, RevokedAt: from}, Span{NotAfter: end}, ErrKeyRevoked},
	} {
		if err := c.window.Check(c.span); !errors.Is(err, c.want) || (c.want == nil) != (err == nil) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

func TestWindowOfAnIdentity(t *testing.T) {
	window := Window{ValidFrom: begin, ValidUntil: end}
	if err := (Identity{Key: "a1", Window: window}).Validate(); err != nil {
		t.Error(err)
	}
	if err := (Identity{Key: "a1", Window: Window{ValidFrom: begin, ValidUntil: begin}}).Validate(); err != nil {
		t.Errorf("a window of one instant: %v", err)
	}
	refused(t, Identity{Key: "a1", Window: Window{ValidFrom: end, ValidUntil: begin}}.Validate(), "and only from")
	refused(t, Identity{CA: "c1", AnySubject: true, Window: window}.Validate(), "only a key has a validity window")
	refused(t, Identity{Issuer: "i", Subject: "s", Window: window}.Validate(), "only a key has a validity window")
	if (Identity{Key: "a1", Window: Window{ValidFrom: end, ValidUntil: begin}}).Matches(Signer{Method: MethodKey, Key: "a1"}) {
		t.Error("an identity that contradicts itself matches")
	}
	if got := (Window{ValidFrom: begin, RevokedAt: then}).String(); got != " from 2026-01-01T00:00:00Z revoked 2026-06-01T00:00:00Z" {
		t.Errorf("window reads %q", got)
	}
}
