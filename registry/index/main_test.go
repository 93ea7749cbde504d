package index

import (
	"os"
	"testing"
)

func TestMain(m *testing.M) {
	if at := os.Getenv(writerEnv); at != "" {
		writeForEver(at)
		return
	}
	code := m.Run()
	if cluster.stop != nil {
		cluster.stop()
	}
	os.Exit(code)
}
