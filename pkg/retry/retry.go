// Package retry is how long a server asks its clients to wait before they try again. Start with After, and hold what it
// returns to MaxAfter.
package retry

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// MaxAfter is the cap on what a server may make a client wait: one that asks for more is an error at once.
const MaxAfter = time.Minute

// After reads the Retry-After header (RFC 9110 §10.2.3); 0: it is absent, says nothing, or is over. A date is measured by
// the server's own clock, its Date header; without one it says nothing.
func After(h http.Header) time.Duration {
	value := strings.TrimSpace(h.Get("Retry-After"))
	if seconds, err := strconv.ParseUint(value, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	until, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	now, err := http.ParseTime(h.Get("Date"))
	if err != nil {
		return 0
	}
	return max(0, until.Sub(now))
}
