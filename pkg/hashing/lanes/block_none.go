//go:build !amd64 || purego

package lanes

// extensions is whether this machine has a block function of ours: not this one, so crypto/sha256 does everything and the
// functions below are never called.
const extensions = false

func block1(*[8]uint32, *byte, int)             { panic("lanes: no block function here") }
func block2(_, _ *[8]uint32, _, _ *byte, _ int) { panic("lanes: no block function here") }
func blockSame(_, _ *[8]uint32, _ *byte, _ int) { panic("lanes: no block function here") }

// vectors512 is whether this machine has block functions of ours for more digests.
const vectors512 = false

func block4(*[4]*[8]uint32, *[4]*byte, int)       { panic("lanes: no block function here") }
func block16(*[8][Most]uint32, *[Most]*byte, int) { panic("lanes: no block function here") }
