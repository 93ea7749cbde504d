package importer

import "testing"

// fuzz holds that a reader takes anything without a panic, and that whatever it reads looked at something.
func fuzz(f *testing.F, format Format) {
	f.Add([]byte(good[format]))
	f.Fuzz(func(t *testing.T, raw []byte) {
		r, err := readers[format](raw)
		if err != nil {
			return
		}
		r.Format = format
		if r.check() != nil || format == CycloneDX {
			return
		}
		if len(r.Passed)+len(r.Failed)+len(r.Metrics)+r.Packages == 0 {
			t.Errorf("nothing was looked at: %+v", r)
		}
		_, _ = r.Predicate(importedAt)
	})
}

func FuzzJUnit(f *testing.F)     { fuzz(f, JUnit) }
func FuzzSARIF(f *testing.F)     { fuzz(f, SARIF) }
func FuzzLMEval(f *testing.F)    { fuzz(f, LMEval) }
func FuzzGarak(f *testing.F)     { fuzz(f, Garak) }
func FuzzOSV(f *testing.F)       { fuzz(f, OSV) }
func FuzzGrype(f *testing.F)     { fuzz(f, Grype) }
func FuzzCycloneDX(f *testing.F) { fuzz(f, CycloneDX) }

func FuzzReadCard(f *testing.F) {
	f.Add([]byte("---\nlicense: x\nbase_model: [a/b]\n---\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if c, err := ReadCard(raw); err == nil {
			for _, n := range c.BaseModels {
				if n == "" {
					t.Error("a base model without a name")
				}
			}
		}
	})
}
