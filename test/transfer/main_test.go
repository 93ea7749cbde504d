package transfer

import (
	"flag"
	"os"
	"testing"
)

// atOnce is how many sweeps run at the same time, on however few cores: those of hanging servers only wait.
const atOnce = "8"

func TestMain(m *testing.M) {
	flag.Parse()
	chosen := false
	flag.Visit(func(f *flag.Flag) { chosen = chosen || f.Name == "test.parallel" })
	if !chosen {
		_ = flag.Set("test.parallel", atOnce)
	}
	os.Exit(m.Run())
}
