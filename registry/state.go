package registry

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"slices"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/hallmark-project/hallmark/pkg/policy"
)

const (
	stateSchema = "hallmark.state/v1"
	maxState    = 16 << 20 // bytes of a state file
)

// States keeps what verifications remember, one file a policy, in a folder of their own. Nobody who is not to decide what
// passes may write there: whoever can take a file away makes the next verification the first.
type States struct{ Dir string }

type stateFile struct {
	Schema string       `json:"schema"`
	Policy string       `json:"policy"`
	State  policy.State `json:"state"`
}

// Load returns what is remembered under the name of a policy; where nothing is yet, the zero State. A file that cannot be
// read, or is another's, is an error, and never nothing.
func (s States) Load(name string) (*policy.State, error) {
	root, err := os.OpenRoot(s.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return &policy.State{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read state: %w", err)
	}
	defer root.Close()
	state, err := readState(root, name)
	if err != nil {
		return nil, fmt.Errorf("read state of policy %q in %q: %w", name, s.Dir, err)
	}
	return state, nil
}

// Remember adds what a verification has seen to what is remembered under the name of a policy, which never becomes less by
// it: another verification may have remembered more meanwhile. The folder is made where it is not there.
func (s States) Remember(ctx context.Context, name string, seen policy.State) error {
	if err := s.remember(ctx, name, seen); err != nil {
		return fmt.Errorf("write state of policy %q to %q: %w", name, s.Dir, err)
	}
	return nil
}

func (s States) remember(ctx context.Context, name string, seen policy.State) error {
	if err := os.MkdirAll(s.Dir, 0o700); err != nil {
		return err
	}
	root, err := os.OpenRoot(s.Dir)
	if err != nil {
		return err
	}
	defer root.Close()
	unlock, err := lockDirectory(ctx, root)
	if err != nil {
		return err
	}
	defer unlock()
	old, err := readState(root, name)
	if err != nil {
		return err
	}
	raw, err := json.Marshal(stateFile{stateSchema, name, grown(*old, seen)}, jsontext.WithIndent("  "), json.Deterministic(true))
	if err != nil {
		return err
	}
	if len(raw) > maxState {
		return tooLarge(fmt.Sprintf("state of %d bytes", len(raw)), maxState)
	}
	return replacePrivate(root, stateName(name), append(raw, '\n'))
}

// stateName is a policy's file: its name, so spelled that no name leads elsewhere.
func stateName(name string) string { return "state-" + url.QueryEscape(name) + ".json" }

func readState(root *os.Root, name string) (*policy.State, error) {
	raw, err := readRegular(root, stateName(name), maxState)
	if errors.Is(err, fs.ErrNotExist) {
		return &policy.State{}, nil
	}
	if err != nil {
		return nil, err
	}
	var f stateFile
	if err := json.Unmarshal(raw, &f, json.RejectUnknownMembers(true)); err != nil {
		return nil, fmt.Errorf("decode %q: %w", stateName(name), err)
	}
	if f.Schema != stateSchema || f.Policy != name {
		return nil, fmt.Errorf("%q is %q of policy %q", stateName(name), f.Schema, f.Policy)
	}
	return &f.State, nil
}

// grown is the more of two states. Lists of what is revoked are cumulative, so the higher sequence has all of the lower
// one's; what only the lower one has stays all the same.
func grown(a, b policy.State) policy.State {
	out := policy.State{PolicyVersion: max(a.PolicyVersion, b.PolicyVersion), Sequence: max(a.Sequence, b.Sequence), Latest: a.Latest}
	if b.Latest.After(a.Latest) {
		out.Latest = b.Latest
	}
	out.Revoked = slices.Concat(a.Revoked, b.Revoked)
	slices.Sort(out.Revoked)
	out.Revoked = slices.Compact(out.Revoked)
	for _, channels := range []map[string]uint64{a.Channels, b.Channels} {
		for channel, sequence := range channels {
			if out.Channels == nil {
				out.Channels = map[string]uint64{}
			}
			out.Channels[channel] = max(out.Channels[channel], sequence)
		}
	}
	return out
}
