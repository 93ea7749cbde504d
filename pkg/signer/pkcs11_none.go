//go:build !pkcs11 || !cgo

package signer

import "errors"

// openPKCS11 says how to get a program that could.
func openPKCS11(*pkcs11URI, KeyURIOptions) (PrivateKey, error) {
	return nil, errors.New("this program was built without PKCS#11, which needs C: build it with CGO_ENABLED=1 and -tags pkcs11")
}
