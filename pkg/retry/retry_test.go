package retry

import (
	"net/http"
	"testing"
	"time"
)

func TestAfterReadsSecondsAndDates(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	date := func(d time.Duration) string { return now.Add(d).Format(http.TimeFormat) }
	for name, c := range map[string]struct {
		value, date string
		want        time.Duration
	}{
		"absent":                     {"", date(0), 0},
		"seconds":                    {" 7 ", "", 7 * time.Second},
		"none":                       {"0", "", 0},
		"as many as are read":        {"2147483647", "", 2147483647 * time.Second},
		"more":                       {"2147483648", "", 0},
		"negative":                   {"-3", "", 0},
		"a fraction":                 {"1.5", "", 0},
		"a date":                     {date(9 * time.Second), date(0), 9 * time.Second},
		"a date gone by":             {date(-time.Hour), date(0), 0},
		"a date of an unknown clock": {date(9 * time.Second), "", 0},
		"a word":                     {"later", date(0), 0},
	} {
		h := http.Header{}
		for key, value := range map[string]string{"Retry-After": c.value, "Date": c.date} {
			if value != "" {
				h.Set(key, value)
			}
		}
		if got := After(h); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}
