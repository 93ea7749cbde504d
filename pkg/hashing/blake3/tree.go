package blake3

import (
	"unsafe"

	"lukechampine.com/blake3/guts"
)

// lanes is how many nodes of the tree are compressed side by side: see hash16.
const lanes = 16

// maxTree is the largest tree that is hashed in one go: 1<<maxTree groups. The higher, the fewer nodes are compressed beside
// lanes that have none.
const maxTree = 4

// Flags of a node's blocks (the BLAKE3 specification, table 3).
var (
	leafFlags   = [guts.ChunkSize / guts.BlockSize]uint32{0: guts.FlagChunkStart, guts.ChunkSize/guts.BlockSize - 1: guts.FlagChunkEnd}
	parentFlags = [1]uint32{guts.FlagParent}
)

// tree returns the value of the node over all of p, which is 1<<height groups and not the whole message. leaf is the number
// of its first leaf in the message.
func tree(p []byte, height int, leaf uint64) value {
	// The values of a level; the level above takes the places of their first half, and lanes that have no node read what lies
	// behind.
	var level [lanes<<maxTree + 2*lanes]value
	n := lanes << height
	for at := 0; at < n; at += lanes {
		var counters [2][lanes]uint32
		for i := range lanes {
			c := leaf + uint64(at+i)
			counters[0][i], counters[1][i] = uint32(c), uint32(c>>32)
		}
		hash16((*[lanes]value)(level[at:]), &p[at*guts.ChunkSize], guts.ChunkSize, len(leafFlags), &counters, &leafFlags[0])
	}
	for n /= 2; n > 0; n /= 2 {
		for at := 0; at < n; at += lanes {
			parents((*[lanes]value)(level[at:]), (*[2 * lanes]value)(level[2*at:]))
		}
	}
	return level[0]
}

// parents compresses the nodes over each two of below.
func parents(above *[lanes]value, below *[2 * lanes]value) {
	var counters [2][lanes]uint32
	// A parent's message is the values of both nodes, each word from its low byte up, as this machine has them in memory.
	const stride = 2 * Size
	hash16(above, (*byte)(unsafe.Pointer(below)), stride, len(parentFlags), &counters, &parentFlags[0])
}
