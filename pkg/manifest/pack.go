package manifest

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"

	"github.com/hallmark-project/hallmark/pkg/hashing"
	"github.com/hallmark-project/hallmark/pkg/hashing/cache"
)

const (
	packBelow = 4 << 20   // files of fewer bytes are packed, where a manifest of single layers would be too long
	packLimit = 256 << 20 // bytes of files in one pack; all of them are smaller
)

var packName = regexp.MustCompile(`^pack-[0-9]{5}\.tar$`)

func isPackName(name string) bool { return packName.MatchString(name) }

func packLayerName(i int) string { return fmt.Sprintf("pack-%05d.tar", i+1) }

// needsPacks reports whether the manifest with one layer a file would be too long. That follows from names and sizes
// alone, so it is known before a byte is hashed.
func needsPacks(files []File) bool { return predictSize(files) > MaxCanonical }

// predictSize is the length of the manifest with one layer a file, whatever the digests.
func predictSize(files []File) int {
	config := len(configHead) + len(configTail) + len(files)*len(`"",`) - 1 + len(files)*len(hashing.Sum{}.String())
	size := len(appendHead(nil, hashing.Sum{}, config)) + len(manifestTail) + len(files) - 1
	var buffer []byte
	for _, f := range files {
		buffer = appendLayer(buffer[:0], Layer{MediaType: mediaType(f.Name), Size: f.Size, Name: f.Name})
		size += len(buffer)
	}
	return size
}

// packGroups puts the small files, in order, into packs. It returns indexes into files.
func packGroups(files []File) [][]int {
	var groups [][]int
	var size int64 // of the last group, which is never empty
	for i, f := range files {
		if f.Size >= packBelow {
			continue
		}
		if len(groups) == 0 || size+f.Size > packLimit {
			groups = append(groups, nil)
			size = 0
		}
		groups[len(groups)-1] = append(groups[len(groups)-1], i)
		size += f.Size
	}
	return groups
}

func packHeader(f File) *tar.Header {
	return &tar.Header{Format: tar.FormatPAX, Typeflag: tar.TypeReg, Name: f.Name, Size: f.Size, Mode: 0o644}
}

// packing is a pack on its way: the stream is the tar's, and takes its members' bytes while they are hashed.
type packing struct {
	name    string
	members []int
	stream  *hashing.Stream // nil: it was known
	made    cache.Pack      // what came of it
}

// arrange puts the jobs of m's files into groups: one each, or where the manifest needs packs, a group for every pack, so
// that one pass over the bytes makes the tar's digest too. where says which file each job of a group is. job is called once
// for each file that is to be read: not for those that k knows.
func arrange(m *Manifest, k *known, job func(i int) hashing.Job) (groups [][]hashing.Job, where [][]int, packs []*packing) {
	packed := make([]bool, len(m.Files))
	if !m.NoID && needsPacks(m.Files) {
		for n, members := range packGroups(m.Files) {
			p := &packing{name: packLayerName(n), members: members}
			packs = append(packs, p)
			for _, i := range members {
				packed[i] = true
			}
			if k.pack(p, m.Files) {
				continue
			}
			p.stream = hashing.NewStream()
			group := make([]hashing.Job, 0, len(members))
			for _, i := range members {
				group = append(group, p.job(job(i), &m.Files[i]))
			}
			groups, where = append(groups, group), append(where, members)
		}
	}
	for i := range m.Files {
		if _, ok := k.file(i); !ok && !packed[i] {
			groups, where = append(groups, []hashing.Job{job(i)}), append(where, []int{i})
		}
	}
	return groups, where, packs
}

// job makes j write its header into the tar when it is opened, and its bytes while they are hashed. A tar.Writer would
// want the bytes for itself; each writes one header here.
func (p *packing) job(j hashing.Job, f *File) hashing.Job {
	open := j.Open
	j.Open = func() (*os.File, error) {
		p.pad()
		if err := tar.NewWriter(p.stream).WriteHeader(packHeader(*f)); err != nil {
			return nil, err
		}
		return open()
	}
	j.Stream = p.stream
	return j
}

// Sizes within a tar, in bytes.
const (
	tarBlock = 512 // headers and files are padded to it
	tarEnd   = 2 * tarBlock
)

// pad ends the member that was written last.
func (p *packing) pad() {
	var zeros [tarBlock]byte
	p.stream.Write(zeros[:-p.stream.Size()&(tarBlock-1)])
}

// finish ends the tar, and is the layer that it makes.
func (p *packing) finish(files []File) Layer {
	if p.stream != nil {
		p.pad()
		p.stream.Write(make([]byte, tarEnd))
		p.made = cache.Pack{Digest: p.stream.Sum(), Size: p.stream.Size()}
	}
	l := Layer{MediaType: PackMediaType, Digest: p.made.Digest, Size: p.made.Size, Name: p.name, Pack: true,
		Files: make([]File, len(p.members))}
	for n, i := range p.members {
		l.Files[n] = files[i]
	}
	return l
}

// WritePack writes the tar of pack layer l, taking each member's bytes from open and closing what that returned. A
// layer that is no pack or whose members are not known, and a member of another size than listed, are errors. The
// digest is the caller's to check.
func WritePack(w io.Writer, l Layer, open func(name string) (io.ReadCloser, error)) error {
	if !l.Pack || len(l.Files) == 0 {
		return fmt.Errorf("pack %q: its members are not known", l.Name)
	}
	tw := tar.NewWriter(w)
	for _, f := range l.Files {
		if err := writeMember(tw, f, open); err != nil {
			return fmt.Errorf("pack %q into %s: %w", f.Name, l.Name, err)
		}
	}
	if err := tw.Close(); err != nil {
		return fmt.Errorf("pack %s: %w", l.Name, err)
	}
	return nil
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
	n, err := io.Copy(tw, r)
	if n < f.Size && err == nil || errors.Is(err, tar.ErrWriteTooLong) {
		return fmt.Errorf("it has not the %d bytes that are listed", f.Size)
	}
	return err
}
