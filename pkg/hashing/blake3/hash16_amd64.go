//go:build !purego

package blake3

import "github.com/klauspost/cpuid/v2"

//go:generate sh -c "go run generate.go > hash16_amd64.s"

// wide is whether this machine has the instructions that hash16_amd64.s is made of.
var wide = cpuid.CPU.Supports(cpuid.AVX512F)

//go:noescape
func hash16(out *[lanes]value, p *byte, stride, blocks int, counters *[2][lanes]uint32, flags *uint32)
