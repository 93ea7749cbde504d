package manifest

import (
	"archive/tar"
	"fmt"
	"io"
	"regexp"
)

const (
	packBelow = 4 << 20   // files of fewer bytes are packed, where a manifest of single layers would be too long
	packLimit = 256 << 20 // bytes of files in one pack, unless a single file has more
)

var packName = regexp.MustCompile(`^pack-[0-9]{5}\.tar$`)

func isPackName(name string) bool { return packName.MatchString(name) }

// needsPacks reports whether the manifest with one layer a file would be too long. That follows from names and sizes
// alone, so it is known before a byte is hashed.
func needsPacks(files []File) bool {
	config := len(`{"descriptor":{},"modelfs":{"type":"layers","diffIds":[]},"config":{}}`) + len(files)*len(`"sha256:",`) + len(files)*64 - 1
	size := len(appendHead(nil, [32]byte{}, config)) + len("]}") + len(files) - 1
	var buffer []byte
	for _, f := range files {
		buffer = appendLayer(buffer[:0], Layer{MediaType: mediaType(f.Name), Size: f.Size, Name: f.Name})
		if size += len(buffer); size > MaxCanonical {
			return true
		}
	}
	return false
}

// packGroups puts the small files, in order, into packs. It returns indexes into files.
func packGroups(files []File) [][]int {
	var groups [][]int
	var size int64
	for i, f := range files {
		if f.Size >= packBelow {
			continue
		}
		if n := len(groups); n == 0 || size+f.Size > packLimit && len(groups[n-1]) > 0 {
			groups = append(groups, nil)
			size = 0
		}
		groups[len(groups)-1] = append(groups[len(groups)-1], i)
		size += f.Size
	}
	return groups
}

func packLayerName(i int) string { return fmt.Sprintf("pack-%05d.tar", i+1) }

func packHeader(f File) *tar.Header {
	return &tar.Header{Format: tar.FormatPAX, Typeflag: tar.TypeReg, Name: f.Name, Size: f.Size, Mode: 0o644}
}

// WritePack writes the tar of pack layer l, whose members must be known, taking each member's bytes from open. A member
// of another size than listed is an error. The caller checks the digest.
func WritePack(w io.Writer, l Layer, open func(name string) (io.ReadCloser, error)) error {
	tw := tar.NewWriter(w)
	for _, f := range l.Files {
		if err := writeMember(tw, f, open); err != nil {
			return fmt.Errorf("pack %q into %s: %w", f.Name, l.Name, err)
		}
	}
	return tw.Close()
}

func writeMember(tw *tar.Writer, f File, open func(name string) (io.ReadCloser, error)) error {
	if err := tw.WriteHeader(packHeader(f)); err != nil {
		return err
	}
	r, err := open(f.Name)
	if err != nil {
		return err
	}
	defer r.Close()
	_, err = io.Copy(tw, r)
	return err
}
