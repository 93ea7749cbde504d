//go:build !unix

package registry

import "os"

// makePipe makes a folder, which is as little a plain file as the named pipe that this system does not have.
func makePipe(at string) error { return os.Mkdir(at, 0o700) }
