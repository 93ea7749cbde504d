package hashing_test

import (
	"crypto/sha256"
	"testing"

	"github.com/hallmark-project/hallmark/pkg/hashing"
)

// TestWriteBothIsAWriteToEach begins with every number of bytes in one stream that the other has not, modulo a block.
func TestWriteBothIsAWriteToEach(t *testing.T) {
	data := make([]byte, 1000)
	for i := range data {
		data[i] = byte(i * 7)
	}
	for n := range 65 {
		a, b := hashing.NewStream(), hashing.NewStream()
		a.Write(data[:n])
		hashing.WriteBoth(a, b, data[n:500])
		hashing.WriteBoth(a, b, data[500:])
		if a.Sum() != sha256.Sum256(data) || a.Size() != int64(len(data)) {
			t.Errorf("%d bytes ahead: first %s, %d bytes", n, a.Sum(), a.Size())
		}
		if b.Sum() != sha256.Sum256(data[n:]) || b.Size() != int64(len(data)-n) {
			t.Errorf("%d bytes ahead: second %s, %d bytes", n, b.Sum(), b.Size())
		}
	}
}
