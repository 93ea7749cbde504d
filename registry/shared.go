package registry

import (
	"net/http"
	"sync"
)

// shared are the connections of many repositories, by registry. What was found out about one registry is of no use with
// another: each has a guard of its own.
type shared struct {
	mu sync.Mutex
	of map[string]*connection
}

// connection is how one registry is reached.
type connection struct {
	home, away http.RoundTripper
	mu         sync.Mutex
	scheme     string // empty until known
}

// Shared returns o with connections that all repositories opened with it have in common, for those who look at thousands
// of them, and what ends those connections once nobody needs them. Logins and tokens stay each repository's own.
func (o Options) Shared() (Options, func()) {
	s := &shared{of: map[string]*connection{}}
	o.shared = s
	return o, s.close
}

// connect returns how the registry of that host is reached.
func (o Options) connect(host string) (*connection, error) {
	if o.shared == nil {
		home, away, err := newTransports(o)
		return &connection{home: home, away: away}, err
	}
	o.shared.mu.Lock()
	defer o.shared.mu.Unlock()
	if c := o.shared.of[host]; c != nil {
		return c, nil
	}
	home, away, err := newTransports(o)
	if err != nil {
		return nil, err
	}
	c := &connection{home: lasting{home}, away: lasting{away}}
	o.shared.of[host] = c
	return c, nil
}

func (s *shared) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.of {
		for _, t := range []http.RoundTripper{c.home, c.away} {
			if own, ok := t.(lasting).RoundTripper.(interface{ CloseIdleConnections() }); ok {
				own.CloseIdleConnections()
			}
		}
	}
}

// lasting is a transport whose idle connections end when all are done with it, not when one is.
type lasting struct{ http.RoundTripper }
