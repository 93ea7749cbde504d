//go:build !linux

package sigstore

import "os/exec"

// newSpace returns the machine's network: there are no others here.
func newSpace() *space { return &space{} }

func (s *space) leash(*exec.Cmd) {}
