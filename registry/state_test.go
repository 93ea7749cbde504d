package registry

import (
	"context"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hallmark-project/hallmark/pkg/policy"
)

func TestStateGrowsAndIsReadBack(t *testing.T) {
	ctx := context.Background()
	s := States{Dir: filepath.Join(t.TempDir(), "state")}
	if first, err := s.Load("prod"); err != nil || !reflect.DeepEqual(*first, policy.State{}) {
		t.Fatalf("the first time: %+v, %v", first, err)
	}
	at := time.Date(2026, 11, 20, 15, 33, 0, 0, time.UTC)
	seen := []policy.State{
		{PolicyVersion: 7, Sequence: 3, Revoked: []string{"b"}, Channels: map[string]uint64{"stable": 4, "beta": 9}, Latest: at},
		{PolicyVersion: 6, Sequence: 4, Revoked: []string{"a", "b"}, Channels: map[string]uint64{"stable": 5}, Latest: at.Add(-time.Hour)},
		{},
	}
	for _, next := range seen {
		if err := s.Remember(ctx, "prod", next); err != nil {
			t.Fatal(err)
		}
	}
	got, err := s.Load("prod")
	want := policy.State{PolicyVersion: 7, Sequence: 4, Revoked: []string{"a", "b"}, Channels: map[string]uint64{"stable": 5, "beta": 9}, Latest: at}
	if err != nil || !reflect.DeepEqual(*got, want) {
		t.Errorf("remembered %+v, want %+v: %v", got, want, err)
	}
	info, err := os.Stat(filepath.Join(s.Dir, "state-prod.json"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if other, err := s.Load("../prod"); err != nil || other.PolicyVersion != 0 {
		t.Errorf("another name: %+v, %v", other, err)
	}
}

func TestStateThatIsSpoiledIsNotNothing(t *testing.T) {
	ctx := context.Background()
	s := States{Dir: t.TempDir()}
	if err := s.Remember(ctx, "prod", policy.State{Sequence: 3}); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(s.Dir, "state-prod.json")
	good, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(string) string{
		"empty":          func(string) string { return "" },
		"cut":            func(s string) string { return s[:len(s)/2] },
		"another schema": func(s string) string { return strings.Replace(s, "/v1", "/v2", 1) },
		"another policy": func(s string) string { return strings.Replace(s, `"prod"`, `"test"`, 1) },
		"more":           func(s string) string { return strings.Replace(s, `"schema"`, `"x": 1, "schema"`, 1) },
		"a number below": func(s string) string { return strings.Replace(s, `: 3`, `: -3`, 1) },
	} {
		bad := spoil(string(good))
		if bad == string(good) {
			t.Fatalf("%s: nothing spoiled", name)
		}
		if err := os.WriteFile(file, []byte(bad), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := s.Load("prod"); err == nil {
			t.Errorf("%s: read as %+v", name, got)
		}
		if err := s.Remember(ctx, "prod", policy.State{Sequence: 1}); err == nil {
			t.Errorf("%s: written over", name)
		}
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("elsewhere", file); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Load("prod"); err == nil {
		t.Error("a link is read")
	}
}

func TestStateLosesNothingToAnotherWriter(t *testing.T) {
	s := States{Dir: t.TempDir()}
	var writers sync.WaitGroup
	for n := range uint64(16) {
		writers.Go(func() {
			channels := map[string]uint64{string(rune('a' + n)): n + 1}
			if err := s.Remember(context.Background(), "prod", policy.State{Sequence: n, Channels: channels}); err != nil {
				t.Error(err)
			}
		})
	}
	writers.Wait()
	if got, err := s.Load("prod"); err != nil || got.Sequence != 15 || len(got.Channels) != 16 {
		t.Errorf("remembered %+v, %v", got, err)
	}
}
