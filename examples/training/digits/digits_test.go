package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// dataset stands for any artifact ID.
const dataset = "sha256:0123456789012345678901234567890123456789012345678901234567890123"

// do runs one command in the test's folder, which has to succeed.
func do(t *testing.T, line string) {
	t.Helper()
	if err := run(strings.Fields(line)); err != nil {
		t.Fatalf("digits %s: %v", line, err)
	}
}

// tested measures a model by command and returns the report.
func tested(t *testing.T, line string) result {
	t.Helper()
	do(t, line+" -dataset "+dataset+" -report report.json")
	var r result
	if raw, err := os.ReadFile("report.json"); err != nil || json.Unmarshal(raw, &r) != nil {
		t.Fatalf("digits %s: no report: %v", line, err)
	}
	return r
}

// TestDrawnDigitsTellTheSameStory runs the example's steps on the stand-in for the real dataset: what the script says of
// each has to hold there too.
func TestDrawnDigitsTellTheSameStory(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, line := range []string{
		"draw -output raw",
		"prepare -data raw -output train-set",
		"prepare -data raw -split t10k -count 1000 -output test-set",
		"train -data train-set -output base",
		"perturb -model base -data train-set -output hard-set",
		"finetune -model base -data train-set -more hard-set -output robust",
		"prepare -data raw -slant -0.6 -output slanted-set",
		"prepare -data raw -slant -0.6 -split t10k -count 1000 -output slanted-test",
		"adapt -model robust -data slanted-set -output slanted",
		"quantize -model robust -output robust-int8",
	} {
		do(t, line)
	}
	for line, want := range map[string]string{
		"attack -model base -data test-set -least 0.58":                               "FAILED",
		"attack -model robust-int8 -data test-set -least 0.58":                        "PASSED",
		"evaluate -model robust-int8 -data test-set -least 0.85":                      "PASSED",
		"evaluate -model robust -data slanted-test -least 0.85":                       "FAILED",
		"evaluate -model robust -adapter slanted -data slanted-test -least 0.85":      "PASSED",
		"evaluate -model robust-int8 -data slanted-test -least 0.85 -adapter slanted": "PASSED",
	} {
		r := tested(t, line)
		if m := r.Evaluation.Metrics; r.Result != want || len(m) != 1 || m[0].Samples != 1000 || "sha256:"+m[0].Dataset["hex"] != dataset {
			t.Errorf("digits %s: %+v, want %s", line, r, want)
		}
	}
	whole, err := os.ReadFile("robust/model.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	if small, err := os.Stat("robust-int8/model.safetensors"); err != nil || small.Size()*3 > int64(len(whole)) {
		t.Errorf("quantised from %d bytes: %v, %v", len(whole), small, err)
	}
}

func TestScanFindsWhatIsPersonal(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, line := range []string{"draw -count 10 -output raw", "prepare -count 10 -data raw -output set"} {
		do(t, line)
	}
	for text, failures := range map[string]string{
		"": "0", "\nBy jo@example.com\n": "1", "\nCall +41 44 123 45 67.\n": "1", "\nCard 4111111111111111\n": "1",
	} {
		readme := filepath.Join("set", readmeFile)
		if err := os.WriteFile(readme, []byte("# Digits\n"+text), 0o644); err != nil {
			t.Fatal(err)
		}
		do(t, "scan -data set -report pii.xml")
		report, err := os.ReadFile("pii.xml")
		if err != nil || !strings.Contains(string(report), `tests="7" failures="`+failures+`"`) {
			t.Errorf("%q: %s, %v", text, report, err)
		}
		if s := strings.TrimSpace(text); s != "" && strings.Contains(string(report), s) {
			t.Errorf("the report carries on %q", s)
		}
	}
}

func TestTrainMakesTheSameModelAgain(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, line := range []string{
		"draw -count 50 -output raw", "prepare -count 50 -data raw -output set",
		"train -data set -output one", "train -data set -output two", "train -data set -seed 2 -output three",
	} {
		do(t, line)
	}
	var models [3][]byte
	for i, dir := range []string{"one", "two", "three"} {
		var err error
		if models[i], err = os.ReadFile(filepath.Join(dir, modelFile)); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(models[0], models[1]) || bytes.Equal(models[0], models[2]) {
		t.Error("the same seed made two models, or two seeds the same")
	}
}

func TestDigitsRefusesBrokenInputs(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, line := range []string{"draw -count 10 -output raw", "prepare -count 10 -data raw -output set", "train -data set -output model"} {
		do(t, line)
	}
	whole, err := os.ReadFile("model/model.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	for name, raw := range map[string][]byte{"cut": whole[:len(whole)-1], "empty": nil, "short header": whole[:20], "other sizes": bytes.Replace(whole, []byte("[320]"), []byte("[319]"), 1)} {
		if err := os.MkdirAll("broken", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile("broken/model.safetensors", raw, 0o644); err != nil {
			t.Fatal(err)
		}
		if err := run(strings.Fields("quantize -model broken -output out")); err == nil {
			t.Errorf("%s: read a broken model", name)
		}
	}
	for _, line := range []string{
		"", "dream", "train", "train -data set -output x surplus", "prepare -count 11 -data raw -output x", "prepare -data raw -split none -output x",
		"evaluate -model model -data set -report r.json", "adapt -model model -data set -rank 0 -output x",
	} {
		if err := run(strings.Fields(line)); err == nil {
			t.Errorf("digits %q: no error", line)
		}
	}
}
