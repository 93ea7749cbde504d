package cache

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"

	"github.com/hallmark-project/hallmark/pkg/hashing"
)

// The file is text: a first line, one line for each entry, the last used first, and a last line with the SHA-256 of
// everything before it. Numbers are decimal, digests lower-case hex, and one space stands between fields.
//
//	hallmark digests v1
//	file DEVICE INODE SIZE MODIFIED CHANGED SHA256
//	pack MEMBERS SIZE SHA256
//	sum SHA256
const (
	head = "hallmark digests v1\n"
	tail = "sum "
)

// errForm is about a file that render did not write.
var errForm = errors.New("it is damaged, or of another version")

func render(entries []entry) []byte {
	b := []byte(head)
	for _, e := range entries {
		b = appendEntry(b, e)
	}
	return sealed(string(b))
}

// sealed is a body with its last line.
func sealed(body string) []byte {
	return fmt.Appendf([]byte(body), "%s%x\n", tail, sha256.Sum256([]byte(body)))
}

func appendEntry(b []byte, e entry) []byte {
	if e.size > 0 {
		return fmt.Appendf(b, "pack %s %d %s\n", e.pack.Hex(), e.size, e.sum.Hex())
	}
	k := e.file
	return fmt.Appendf(b, "file %d %d %d %d %d %s\n", k.Device, k.Inode, k.Size, k.Modified, k.Changed, e.sum.Hex())
}

// parse returns the entries of a file, or errForm unless render would write the same.
func parse(raw []byte) ([]entry, error) {
	body := len(raw) - len(tail) - 2*sha256.Size - 1
	if body < len(head) || string(raw[:len(head)]) != head {
		return nil, errForm
	}
	if !bytes.Equal(raw, sealed(string(raw[:body]))) {
		return nil, errForm
	}
	var entries []entry
	seen := map[any]bool{}
	var again []byte
	for line := range bytes.Lines(raw[len(head):body]) {
		e, ok := parseEntry(bytes.Fields(line))
		again = appendEntry(again[:0], e)
		if !ok || !bytes.Equal(again, line) || seen[e.id()] || len(entries) == MaxEntries {
			return nil, errForm
		}
		seen[e.id()] = true
		entries = append(entries, e)
	}
	return entries, nil
}

// parseEntry is lenient: what it returns is written again and compared.
func parseEntry(fields [][]byte) (e entry, ok bool) {
	switch {
	case len(fields) == 7 && string(fields[0]) == "file":
		k := &e.file
		var failed [5]error
		k.Device, failed[0] = strconv.ParseUint(string(fields[1]), 10, 64)
		k.Inode, failed[1] = strconv.ParseUint(string(fields[2]), 10, 64)
		for i, n := range []*int64{&k.Size, &k.Modified, &k.Changed} {
			*n, failed[2+i] = strconv.ParseInt(string(fields[3+i]), 10, 64)
		}
		return e, parseSum(&e.sum, fields[6]) && errors.Join(failed[:]...) == nil && k.Size >= 0
	case len(fields) == 4 && string(fields[0]) == "pack":
		var err error
		e.size, err = strconv.ParseInt(string(fields[2]), 10, 64)
		return e, parseSum(&e.pack, fields[1]) && parseSum(&e.sum, fields[3]) && err == nil && e.size > 0
	}
	return e, false
}

func parseSum(s *hashing.Sum, digits []byte) bool {
	if len(digits) != hex.EncodedLen(len(s)) {
		return false
	}
	_, err := hex.Decode(s[:], digits)
	return err == nil
}
