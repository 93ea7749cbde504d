package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/hallmark-project/hallmark/pkg/signer"
)

func newKeygen(s streams) *cobra.Command {
	var algorithm, passwordEnv string
	c := &cobra.Command{
		Use:   "keygen PREFIX",
		Short: "Make a key pair: PREFIX.key and PREFIX.pub",
		Long: `Make a key pair to sign with: PREFIX.key (PKCS#8, readable by you alone) and PREFIX.pub.

ECDSA P-256 is the default: every verifier takes it. Files that exist are never overwritten.`,
		Example: `  hallmark keygen trainer
  HALLMARK_KEY_PASSWORD=… hallmark keygen trainer --password-env HALLMARK_KEY_PASSWORD`,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			var password []byte
			if passwordEnv != "" {
				value := os.Getenv(passwordEnv)
				if value == "" {
					return usagef("--password-env %s: the variable is empty", passwordEnv)
				}
				password = []byte(value)
			}
			private, public, err := signer.GenerateKey(signer.Algorithm(algorithm), password)
			if err != nil {
				return usageError{err}
			}
			return writeKeyPair(s, args[0], private, public)
		},
	}
	c.Flags().StringVar(&algorithm, "algorithm", string(signer.ECDSAP256), fmt.Sprintf("`NAME` of the kind of key: %v", signer.Algorithms()))
	c.Flags().StringVar(&passwordEnv, "password-env", "", "environment `VARIABLE` that holds a password to encrypt the key with")
	return c
}

func writeKeyPair(s streams, prefix string, private, public []byte) error {
	names := []string{prefix + ".key", prefix + ".pub"}
	for i, data := range [][]byte{private, public} {
		if err := writeNew(names[i], data, []os.FileMode{0o600, 0o644}[i]); err != nil {
			if i == 1 {
				err = errors.Join(err, os.Remove(names[0]))
			}
			return err
		}
	}
	_, err := fmt.Fprintf(s.out, "wrote %s and %s\n", names[0], names[1])
	return err
}

// writeNew writes a file that must not exist yet, and leaves none behind when it cannot.
func writeNew(path string, data []byte, mode os.FileMode) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return nil
}
