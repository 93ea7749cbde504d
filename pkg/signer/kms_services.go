//go:build kms

package signer

// Each registers its scheme with sigstore's kms package. Together they bring three clouds' libraries, which is why they
// are not in every build; the README of this package has the numbers.
import (
	_ "github.com/sigstore/sigstore/pkg/signature/kms/aws"
	_ "github.com/sigstore/sigstore/pkg/signature/kms/azure"
	_ "github.com/sigstore/sigstore/pkg/signature/kms/gcp"
	_ "github.com/sigstore/sigstore/pkg/signature/kms/hashivault"
)
