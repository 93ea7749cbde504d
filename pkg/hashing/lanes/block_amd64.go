//go:build !purego

package lanes

import (
	"crypto/fips140"

	"github.com/klauspost/cpuid/v2"
)

//go:generate sh -c "go run generate.go generate_four.go generate_wide.go > block_amd64.s"

// extensions is whether this machine has the instructions that block_amd64.s is made of. Where FIPS 140-3 mode is on, only
// the validated module may hash.
var extensions = cpuid.CPU.Supports(cpuid.SHA, cpuid.SSSE3, cpuid.SSE4) && !fips140.Enabled()

// vectors512 is whether it has those of block4 and block16 too.
var vectors512 = extensions && cpuid.CPU.Supports(cpuid.AVX512F, cpuid.AVX512BW, cpuid.AVX512VL)

//go:noescape
func block1(state *[8]uint32, p *byte, blocks int)

//go:noescape
func block2(a, b *[8]uint32, p, q *byte, blocks int)

//go:noescape
func blockSame(a, b *[8]uint32, p *byte, blocks int)

//go:noescape
func block4(state *[4]*[8]uint32, p *[4]*byte, blocks int)

//go:noescape
func block16(state *[8][16]uint32, p *[16]*byte, blocks int)
