package registry

import (
	"context"
	"errors"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hallmark-project/hallmark/attestations"
	"github.com/hallmark-project/hallmark/test/lab"
)

// someLists are bundles that are no lists, which nobody here minds.
func someLists(t *testing.T, n int) (all []attestations.Bundle) {
	t.Helper()
	by := newSigner(t)
	for i := range n {
		all = append(all, statementOn(t, by, "sha256:"+strings.Repeat("0123456789"[i:i+1], 64)))
	}
	return all
}

func mustRead(t *testing.T, l Lists) Edition {
	t.Helper()
	e, err := l.Read(t.Context())
	if err != nil || len(e.Items) != 1 {
		t.Fatalf("read %d lists: %v", len(e.Items), err)
	}
	return e
}

// TestListIsReplacedOnlyIfNobodyElseDid has two who read the same list and write the next, at every kind of place.
func TestListIsReplacedOnlyIfNobodyElseDid(t *testing.T) {
	kinds := append(places(), place{"file", nil})
	for _, p := range kinds {
		t.Run(p.name, func(t *testing.T) {
			l := Lists{From: filepath.Join(t.TempDir(), "revoked.jsonl")}
			if p.ref != nil {
				l.From = p.ref(t).String()
			}
			all := someLists(t, 4)
			if err := l.Replace(t.Context(), all[0], Edition{}); err != nil {
				t.Fatalf("the first: %v", err)
			}
			if err := l.Replace(t.Context(), all[1], Edition{}); !errors.Is(err, ErrOvertaken) {
				t.Errorf("the first, where there is one: %v", err)
			}
			one, two := mustRead(t, l), mustRead(t, l)
			if err := l.Replace(t.Context(), all[1], one); err != nil {
				t.Fatalf("who writes first: %v", err)
			}
			if err := l.Replace(t.Context(), all[2], two); !errors.Is(err, ErrOvertaken) || !strings.Contains(err.Error(), "nothing was changed") {
				t.Errorf("who writes second: %v", err)
			}
			now := mustRead(t, l)
			if strings.TrimSpace(string(now.Items[0].Bundle)) != string(all[1]) {
				t.Error("another list than the first writer's is there")
			}
			if err := l.Replace(t.Context(), all[2], now); err != nil {
				t.Errorf("who writes second, once more: %v", err)
			}
		})
	}
}

// TestListWriterNoticesAnotherAtEveryRequestButOne has another writer do all of it before the first request that replacing a
// list makes to a registry, before the second, and so on. Only one is not noticed who is done between the question what the tag
// names and the write that follows: a registry moves a tag without a condition.
func TestListWriterNoticesAnotherAtEveryRequestButOne(t *testing.T) {
	all := someLists(t, 3)
	unnoticed := 0
	for n := 1; ; n++ {
		g := lab.New(lab.Options{Referrers: true})
		proxy := lab.NewProxy(g)
		const name = "/acme/revoked:latest"
		ours, theirs := Lists{From: lab.Serve(t, proxy) + name}, Lists{From: lab.Serve(t, g) + name}
		if err := theirs.Replace(t.Context(), all[0], Edition{}); err != nil {
			t.Fatal(err)
		}
		var failed error
		proxy.Set(lab.Rule{Fault: lab.Meanwhile("another writer", func() {
			was, err := theirs.Read(context.Background())
			failed = errors.Join(err, theirs.Replace(context.Background(), all[1], was))
		}), At: n})
		was := mustRead(t, ours)
		err := ours.Replace(t.Context(), all[2], was)
		if proxy.Struck() == 0 {
			break
		}
		if failed != nil {
			t.Fatalf("request %d: the other writer: %v", n, failed)
		}
		struck := proxy.Requests()[n-1]
		there := string(mustRead(t, theirs).Items[0].Bundle)
		switch {
		case string(was.Items[0].Bundle) == string(all[1]): // before ours was read
			if err != nil || there != string(all[2]) {
				t.Errorf("request %d, %s: the other's was read, and then: %v", n, struck, err)
			}
		case struck.Method == http.MethodPut && strings.Contains(struck.URI, "/manifests/"):
			unnoticed++
			if err != nil || there != string(all[2]) {
				t.Errorf("request %d, %s: %v", n, struck, err)
			}
		case !errors.Is(err, ErrOvertaken) || there != string(all[1]):
			t.Errorf("request %d, %s: not noticed: %v", n, struck, err)
		}
	}
	if unnoticed != 1 {
		t.Errorf("at %d requests the other is not noticed", unnoticed)
	}
}

// TestListThatDoesNotAppearIsSaid has a registry that takes a list and does not keep it, or does not show it.
func TestListThatDoesNotAppearIsSaid(t *testing.T) {
	all := someLists(t, 2)
	proxy := lab.NewProxy(lab.New(lab.Options{Referrers: true}))
	l := Lists{From: lab.Serve(t, proxy) + "/acme/revoked:latest"}
	if err := l.Replace(t.Context(), all[0], Edition{}); err != nil {
		t.Fatal(err)
	}
	was := mustRead(t, l)
	ignored := lab.Fault{Name: "takes it and forgets", Do: func(x *lab.Exchange) { x.Give(&lab.Answer{Status: http.StatusCreated}) }}
	proxy.Set(lab.Rule{Fault: ignored.At(http.MethodPut, "/manifests/"), At: 1})
	if err := l.Replace(t.Context(), all[1], was); err == nil || errors.Is(err, ErrOvertaken) || !strings.Contains(err.Error(), "still names what it did") {
		t.Errorf("it is taken and forgotten: %v", err)
	}
	hidden := lab.Status(http.StatusForbidden, "").At(http.MethodHead, "/manifests/")
	proxy.Set(lab.Rule{Fault: hidden, At: 2})
	if err := l.Replace(t.Context(), all[1], was); err == nil || errors.Is(err, ErrOvertaken) || !strings.Contains(err.Error(), "it was stored, and what is there now cannot be read") {
		t.Errorf("it cannot be looked at: %v", err)
	}
	proxy.Set()
	if err := l.Replace(t.Context(), all[0], mustRead(t, l)); err != nil {
		t.Errorf("and then kept: %v", err)
	}
	for _, from := range []string{l.From[:strings.LastIndexByte(l.From, ':')] + "@" + nobodysID, "oci:" + t.TempDir()} {
		if err := (Lists{From: from}).Replace(t.Context(), all[0], Edition{}); err == nil || !strings.Contains(err.Error(), "names no tag") {
			t.Errorf("replaced without a tag: %v", err)
		}
	}
}
