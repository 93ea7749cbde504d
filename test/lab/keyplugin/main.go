// Command keyplugin is a key service for tests, behind Sigstore's plugin protocol: NAME://PATH is the private key in the PEM
// file at PATH. Build it as sigstore-kms-NAME.
package main

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"os"

	"github.com/sigstore/sigstore/pkg/cryptoutils"
	signing "github.com/sigstore/sigstore/pkg/signature"
	"github.com/sigstore/sigstore/pkg/signature/kms/cliplugin/handler"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	args, err := handler.GetPluginArgs(os.Args)
	if err != nil {
		return err
	}
	k, err := open(args.InitOptions.KeyResourceID, args.InitOptions.HashFunc)
	if err != nil {
		return handler.WriteErrorResponse(os.Stdout, err)
	}
	_, err = handler.Dispatch(os.Stdout, os.Stdin, args, k)
	return err
}

// key is a key in a file.
type key struct{ signing.SignerVerifier }

func open(path string, hash crypto.Hash) (key, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return key{}, err
	}
	private, err := cryptoutils.UnmarshalPEMToPrivateKey(data, nil)
	if err != nil {
		return key{}, err
	}
	s, err := signing.LoadSignerVerifier(private, hash)
	return key{s}, err
}

var errFixed = errors.New("the key is the one in the file")

func (key) CreateKey(context.Context, string) (crypto.PublicKey, error) { return nil, errFixed }
func (key) SupportedAlgorithms() []string                               { return nil }
func (key) DefaultAlgorithm() string                                    { return "" }
func (key) CryptoSigner(context.Context, func(error)) (crypto.Signer, crypto.SignerOpts, error) {
	return nil, nil, errFixed
}
