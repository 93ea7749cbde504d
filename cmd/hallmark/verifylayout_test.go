package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func mustWorkDir(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestVerifyByLayout spoils one thing at a time of a layout that was made once, with in-toto's own library.
func TestVerifyByLayout(t *testing.T) {
	made := os.DirFS(filepath.Join(mustWorkDir(t), "testdata", "layout"))
	good := "verify ./chat --layout root.layout --layout-key owner.pub"
	for name, c := range map[string]struct {
		code  int
		args  string
		spoil func() error
		says  string
	}{
		"as it was":             {exitDone, good, nil, "yes      ./chat"},
		"quietly":               {exitDone, good + " --quiet", nil, "./chat"},
		"links elsewhere":       {exitDone, good + " --links .", nil, "yes"},
		"a file more":           {exitNo, good, func() error { return os.WriteFile("chat/evil.py", nil, 0o644) }, "disallowed by rule"},
		"a file that differs":   {exitNo, good, func() error { return os.WriteFile("chat/model.bin", []byte("others!"), 0o644) }, "disallowed by rule"},
		"a link that is gone":   {exitNo, good, func() error { return os.Remove("train.link") }, "train"},
		"a layout by another":   {exitNo, "verify ./chat --layout root.layout --layout-key trainer.pub", nil, "not signed by every key"},
		"no links there":        {exitUnknown, good + " --links nowhere", nil, ""},
		"a layout that is none": {exitUnknown, "verify ./chat --layout owner.pub --layout-key owner.pub", nil, ""},
		"no key":                {exitUsage, "verify ./chat --layout root.layout", nil, ""},
		"no layout":             {exitUsage, "verify ./chat --layout-key owner.pub --public-key trainer.pub", nil, ""},
		"a policy as well":      {exitUsage, good + " --policy x.yaml", nil, ""},
		"a key as well":         {exitUsage, good + " --public-key trainer.pub", nil, ""},
		"two artifacts":         {exitUsage, good + " ./other", nil, ""},
		"a reference":           {exitUsage, "verify oci:layout:v1 --layout root.layout --layout-key owner.pub", nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			if err := os.CopyFS(".", made); err != nil {
				t.Fatal(err)
			}
			mustRun(t, "keygen", "trainer")
			if c.spoil != nil {
				if err := c.spoil(); err != nil {
					t.Fatal(err)
				}
			}
			code, out, errs := hallmark(t, strings.Fields(c.args)...)
			if code != c.code || !strings.Contains(out, c.says) {
				t.Errorf("exit code %d, want %d\n%s%s", code, c.code, out, errs)
			}
		})
	}
}
