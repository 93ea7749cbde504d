package importer

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// lmEval is what lm-evaluation-harness writes for a run, as far as it is read.
type lmEval struct {
	Results map[string]map[string]jsontext.Value `json:"results"`
	Samples map[string]struct {
		Effective int64 `json:"effective"`
	} `json:"n-samples"`
	Date    float64 `json:"date"` // when it began, seconds since 1970; its start_time is of a clock that began anywhere
	Seconds string  `json:"total_evaluation_time_seconds"`
	Version string  `json:"lm_eval_version"`
}

// readLMEval reads every number that the harness measured, "TASK/METRIC,FILTER". It passes nothing: whoever imports it
// says what was to be reached, with Judge.
func readLMEval(raw []byte) (*Report, error) {
	var in lmEval
	if err := decode(raw, &in); err != nil {
		return nil, err
	}
	r := &Report{Tool: "lm-evaluation-harness", Version: in.Version}
	for _, task := range sortedKeys(in.Results) {
		for _, metric := range sortedKeys(in.Results[task]) {
			value := in.Results[task][metric]
			if value.Kind() != '0' { // the task's alias, and "N/A" for what has no value
				continue
			}
			r.Metrics = append(r.Metrics, Metric{Name: task + "/" + metric, Value: string(value), Samples: in.Samples[task].Effective})
		}
	}
	if in.Date == 0 {
		return r, nil
	}
	if in.Date < 0 || in.Date > 1e11 || math.IsNaN(in.Date) {
		return nil, fmt.Errorf("date %g is no time", in.Date)
	}
	r.Started = time.Unix(0, int64(in.Date*1e3)*int64(time.Millisecond)).UTC()
	if in.Seconds != "" {
		s, err := strconv.ParseFloat(in.Seconds, 64)
		if err != nil || !(s >= 0 && s < maxSeconds) {
			return nil, fmt.Errorf("total_evaluation_time_seconds %q is no duration", clip(in.Seconds))
		}
		r.Finished = r.Started.Add(time.Duration(s * float64(time.Second))).Truncate(time.Millisecond)
	}
	return r, nil
}

// maxSeconds is how long a run may have taken.
const maxSeconds = 10 * 366 * 24 * 60 * 60

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }
