package manifest

import (
	"os"

	"github.com/hallmark-project/hallmark/pkg/hashing/cache"
)

// KeyOf is what a cache knows the file at path by; the zero Key where there is none.
func KeyOf(path string) cache.Key {
	info, err := os.Stat(path)
	if err != nil {
		return cache.Key{}
	}
	return stampOf(info).key()
}
