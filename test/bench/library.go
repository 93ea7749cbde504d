package main

import (
	"context"
	"errors"

	"github.com/hallmark-project/hallmark/pkg/manifest"
)

// libraryCommand makes this program a user of the library that wants the files' digests and nothing else.
const libraryCommand = "library"

// library hashes the files of the artifact at args[0], each once.
func library(ctx context.Context, args []string) error {
	if len(args) != 1 {
		return errors.New("library: the artifact is missing")
	}
	_, err := manifest.Build(ctx, args[0], manifest.Options{NoID: true})
	return err
}
