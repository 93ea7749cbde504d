package signer

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

// maxURI caps a key's URI, in bytes.
const maxURI = 4096

// pkcs11URI names a private key in a PKCS#11 token (RFC 7512): the attributes that are understood here. What is empty was
// not given.
type pkcs11URI struct {
	token, serial string // CKA: label and serial number of the token
	slot          *int   // slot-id
	object        string // label of the key
	id            []byte // CKA_ID of the key
	module        string // module-path: the PKCS#11 library
	pin           []byte // pin-value
	pinSource     string // pin-source: a file, as path or file: URI
}

// parsePKCS11 reads a pkcs11: URI. Attributes that are not understood, that come twice, or that leave token, key or module
// open are errors: a signature by another key than the one that was meant is worse than none.
func parsePKCS11(uri string) (*pkcs11URI, error) {
	if len(uri) > maxURI {
		return nil, fmt.Errorf("read pkcs11 URI: %d bytes, at most %d are read", len(uri), maxURI)
	}
	_, rest, _ := strings.Cut(uri, ":")
	path, query, _ := strings.Cut(rest, "?")
	u := &pkcs11URI{}
	seen := map[string]bool{}
	for _, part := range []struct{ text, separator string }{{path, ";"}, {query, "&"}} {
		for attribute := range strings.SplitSeq(part.text, part.separator) {
			if attribute == "" {
				continue
			}
			name, raw, _ := strings.Cut(attribute, "=")
			if seen[name] {
				return nil, fmt.Errorf("read pkcs11 URI: attribute %q comes twice", name)
			}
			seen[name] = true
			value, err := url.PathUnescape(raw)
			if err != nil { // the error would repeat the value, and that may be a PIN
				return nil, fmt.Errorf("read pkcs11 URI: attribute %q is not percent-encoded", name)
			}
			if err := u.set(name, value, part.separator == "&"); err != nil {
				return nil, fmt.Errorf("read pkcs11 URI: %w", err)
			}
		}
	}
	switch {
	case u.module == "":
		return nil, errors.New("read pkcs11 URI: it names no library: ?module-path=FILE")
	case u.token == "" && u.serial == "" && u.slot == nil:
		return nil, errors.New("read pkcs11 URI: it names no token: token=LABEL")
	case u.object == "" && len(u.id) == 0:
		return nil, errors.New("read pkcs11 URI: it names no key: object=LABEL or id=BYTES")
	case u.pin != nil && u.pinSource != "":
		return nil, errors.New("read pkcs11 URI: pin-value and pin-source are one PIN twice")
	}
	return u, nil
}

// set takes one attribute. Some belong to the path and some to the query (RFC 7512 §2.3).
func (u *pkcs11URI) set(name, value string, query bool) error {
	if value == "" {
		return fmt.Errorf("attribute %q is empty", name)
	}
	if strings.ContainsRune(value, 0) && name != "id" {
		return fmt.Errorf("attribute %q holds a zero byte", name)
	}
	switch {
	case query && name == "module-path":
		u.module = value
	case query && name == "pin-value":
		u.pin = []byte(value)
	case query && name == "pin-source":
		u.pinSource = value
	case query:
		return fmt.Errorf("query attribute %q is not understood: module-path, pin-source and pin-value are", name)
	case name == "token":
		u.token = value
	case name == "serial":
		u.serial = value
	case name == "object":
		u.object = value
	case name == "id":
		u.id = []byte(value)
	case name == "slot-id":
		n, err := strconv.ParseUint(value, 10, 31)
		if err != nil {
			return fmt.Errorf("slot-id %q is no number", value)
		}
		slot := int(n)
		u.slot = &slot
	case name == "type":
		if value != "private" {
			return fmt.Errorf("type %q is no private key", value)
		}
	default:
		return fmt.Errorf("attribute %q is not understood: token, serial, slot-id, object, id and type are", name)
	}
	return nil
}

// String names the key for people. It never holds the PIN.
func (u *pkcs11URI) String() string {
	var parts []string
	add := func(name, value string) {
		if value != "" {
			parts = append(parts, name+"="+value)
		}
	}
	add("token", u.token)
	add("serial", u.serial)
	if u.slot != nil {
		add("slot-id", strconv.Itoa(*u.slot))
	}
	add("object", u.object)
	add("id", hex.EncodeToString(u.id))
	return "pkcs11:" + strings.Join(parts, ";")
}
