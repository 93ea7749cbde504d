package transfer

import (
	"flag"
	"fmt"
	"os"
	"testing"
)

// atOnce is how many sweeps run at the same time, on however few cores: those of hanging servers only wait.
const atOnce = "8"

func TestMain(m *testing.M) {
	if file := os.Getenv(victimEnv); file != "" { // this process is here to be killed
		if err := obey(file); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	flag.Parse()
	chosen := false
	flag.Visit(func(f *flag.Flag) { chosen = chosen || f.Name == "test.parallel" })
	if !chosen {
		_ = flag.Set("test.parallel", atOnce)
	}
	os.Exit(m.Run())
}
