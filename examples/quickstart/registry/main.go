// Command registry serves a small OCI registry on loopback, in memory, for the example. It writes its address to the
// file that it is given and ends when it is terminated.
package main

import (
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"
)

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: registry ADDRESS-FILE")
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	temporary := os.Args[1] + ".tmp"
	if err := os.WriteFile(temporary, []byte(listener.Addr().String()), 0o644); err != nil {
		log.Fatal(err)
	}
	if err := os.Rename(temporary, os.Args[1]); err != nil {
		log.Fatal(err)
	}
	server := &http.Server{
		Handler:           registry.New(registry.WithReferrersSupport(true), registry.Logger(log.New(io.Discard, "", 0))),
		ReadHeaderTimeout: 10 * time.Second,
	}
	log.Fatal(server.Serve(listener))
}
