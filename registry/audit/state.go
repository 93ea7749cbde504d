package audit

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/hallmark-project/hallmark/registry"
)

const (
	stateSchema = "hallmark.audit-state/v1"
	stateFile   = "audit.jsonl"
	partialFile = "audit.partial.jsonl"

	maxLine    = 32 << 20  // bytes of a line
	maxRecords = 1_000_000 // lines
)

// State is the folder in which audits remember: what tags named, which evidence there was, and the verdicts with
// everything that they rest on. It is believed as the audit that wrote it is: a verdict that is used again was not reached
// by looking at signatures again, so nobody else may write there. A nil State remembers nothing.
//
// The folder holds audit.jsonl, which the last audit that came to its end wrote, and while one runs audit.partial.jsonl.
// Each line is one JSON object with a SHA-256 over what it says; a file that is damaged, cut or of another version is an
// error and never nothing.
type State struct{ Dir string }

// ErrState says that what earlier audits remembered cannot be used.
var ErrState = errors.New("read state of the last audit")

// record is what is remembered of one manifest in one repository.
type record struct {
	Row      Row               `json:"row"`
	Evidence []string          `json:"evidence"`          // digests of what might have been its bundles
	Ground   string            `json:"ground,omitempty"`  // what else the verdict rests on; empty: it is not used again
	Until    *time.Time        `json:"until,omitempty"`   // the last instant at which the verdict is known to hold
	Next     *Coming           `json:"next,omitempty"`    // what it will be after that, where it is known to change
	Rests    map[string]string `json:"restsOn,omitempty"` // the artifacts in its chain: which evidence there was of each
}

func (r *record) key() string { return r.Row.Repository + " " + r.Row.Digest }

// line is one line of a state file.
type line struct {
	Sum  string         `json:"sum"` // hex SHA-256 of Data, as it is written
	Data jsontext.Value `json:"data"`
}

// header is the first line's data, end the last's.
type header struct {
	Schema string `json:"schema"`
}

type end struct {
	Records int `json:"records"`
}

// past is what earlier audits remembered, and what this one will.
type past struct {
	folder *registry.Folder

	last    map[string]*record // of the last audit that came to its end
	resumed map[string]*record // of one that did not

	bySigner map[string]map[string]bool // of last, by repository; see signers

	mu      sync.Mutex
	now     map[string]*record
	partial *os.File
}

// open reads what is remembered.
func (s *State) open(resume bool) (*past, error) {
	p := &past{now: map[string]*record{}}
	if s == nil {
		return p, nil
	}
	at := filepath.Join(s.Dir, "audit")
	folder, err := registry.OpenFolder(at)
	if err != nil {
		return nil, fmt.Errorf("read state of the last audit: %w", err)
	}
	p.folder = folder
	if p.last, err = readRecords(folder, stateFile, true); err == nil && resume {
		p.resumed, err = readRecords(folder, partialFile, false)
	}
	if err == nil {
		err = p.begin()
	}
	if err != nil {
		p.close()
		return nil, fmt.Errorf("%w: %q: %w", ErrState, at, err)
	}
	return p, nil
}

// begin starts the file that is written as rows come.
func (p *past) begin() error {
	f, err := p.folder.Append(partialFile, true)
	if err != nil {
		return err
	}
	p.partial = f
	if err := writeLine(f, header{stateSchema}); err != nil {
		return err
	}
	for _, key := range slices.Sorted(maps.Keys(p.resumed)) { // an audit that is interrupted again has not lost them
		if err := writeLine(f, p.resumed[key]); err != nil {
			return err
		}
	}
	return nil
}

func (p *past) close() {
	if p.partial != nil {
		_ = p.partial.Close()
	}
	if p.folder != nil {
		_ = p.folder.Close()
	}
}

// record is what is remembered of a manifest; nil: nothing.
func (p *past) record(repository, digest string) *record {
	key := repository + " " + digest
	if r := p.resumed[key]; r != nil {
		return r
	}
	return p.last[key]
}

// keep remembers r.
func (p *past) keep(r *record) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.now[r.key()] = r
	if p.partial == nil {
		return nil
	}
	if err := writeLine(p.partial, r); err != nil {
		return fmt.Errorf("write state of the audit: %w", err)
	}
	return nil
}

// finish makes what this audit found what the last one found. Of repositories that it did not see whole, what was known
// before stays.
func (p *past) finish(whole map[string]bool) error {
	if p.folder == nil {
		return nil
	}
	all := maps.Clone(p.now)
	for key, r := range p.last {
		if all[key] == nil && !whole[r.Row.Repository] {
			all[key] = r
		}
	}
	err := p.folder.Replace(stateFile, func(w io.Writer) error {
		out := bufio.NewWriterSize(w, 1<<20)
		if err := writeLine(out, header{stateSchema}); err != nil {
			return err
		}
		for _, key := range slices.Sorted(maps.Keys(all)) {
			if err := writeLine(out, all[key]); err != nil {
				return err
			}
		}
		if err := writeLine(out, end{len(all)}); err != nil {
			return err
		}
		return out.Flush()
	})
	if err == nil {
		err = p.folder.Remove(partialFile)
	}
	if err != nil {
		return fmt.Errorf("write state of the audit: %w", err)
	}
	return nil
}

func writeLine(w io.Writer, data any) error {
	raw, err := json.Marshal(data, json.Deterministic(true), jsontext.AllowInvalidUTF8(true))
	if err != nil {
		return err
	}
	sum := sha256.Sum256(raw)
	whole, err := json.Marshal(line{hex.EncodeToString(sum[:]), raw}, jsontext.AllowInvalidUTF8(true))
	if err != nil {
		return err
	}
	if len(whole) >= maxLine {
		return fmt.Errorf("a line of %d bytes, at most %d are read again", len(whole), maxLine)
	}
	_, err = w.Write(append(whole, '\n'))
	return err
}

// readRecords reads a state file. One that is not there holds nothing. whole: it was finished, and what is missing at its
// end is an error; else its last line may be cut, as a process that was killed leaves it.
func readRecords(folder *registry.Folder, name string, whole bool) (map[string]*record, error) {
	f, err := folder.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	all := map[string]*record{}
	ended := false
	lines := bufio.NewReaderSize(f, 1<<20)
	for n := 1; ; n++ {
		data, cut, err := readLine(lines)
		switch {
		case err == io.EOF && (ended || !whole):
			return all, nil
		case err == io.EOF || cut && whole:
			return nil, fmt.Errorf("%q ends in the middle", name)
		case cut:
			return all, nil
		case err == nil && ended:
			err = errors.New("it goes on after its end")
		case err == nil && n == 1:
			err = readHeader(data)
		case err == nil && n > maxRecords:
			err = fmt.Errorf("more than %d records", maxRecords)
		case err == nil:
			ended, err = readRecord(data, all)
		}
		if err != nil {
			return nil, fmt.Errorf("%q, line %d: %w", name, n, err)
		}
	}
}

func readHeader(data []byte) error {
	var h header
	if err := json.Unmarshal(data, &h, json.RejectUnknownMembers(true)); err != nil {
		return err
	}
	if h.Schema != stateSchema {
		return fmt.Errorf("it is %q, and %s is read", h.Schema, stateSchema)
	}
	return nil
}

// readRecord adds what a line says to all. ended: it was the last.
func readRecord(data []byte, all map[string]*record) (ended bool, err error) {
	if bytes.HasPrefix(data, []byte(`{"records":`)) {
		var e end
		if err := json.Unmarshal(data, &e, json.RejectUnknownMembers(true)); err != nil {
			return false, err
		}
		if e.Records != len(all) {
			return false, fmt.Errorf("%d of %d records are there", len(all), e.Records)
		}
		return true, nil
	}
	var r record
	if err := json.Unmarshal(data, &r, json.RejectUnknownMembers(true), jsontext.AllowInvalidUTF8(true)); err != nil {
		return false, err
	}
	all[r.key()] = &r
	return false, nil
}

// readLine returns what a line says, held to its sum. cut: it has no end.
func readLine(from *bufio.Reader) (data []byte, cut bool, err error) {
	var raw []byte
	for {
		part, err := from.ReadSlice('\n')
		raw = append(raw, part...)
		switch {
		case len(raw) > maxLine:
			return nil, false, fmt.Errorf("more than %d bytes", maxLine)
		case err == bufio.ErrBufferFull:
			continue
		case err == io.EOF && len(raw) > 0:
			return nil, true, nil
		case err != nil:
			return nil, false, err
		}
		break
	}
	var l line
	if err := json.Unmarshal(raw, &l, json.RejectUnknownMembers(true), jsontext.AllowInvalidUTF8(true)); err != nil {
		return nil, false, err
	}
	if sum := sha256.Sum256(l.Data); hex.EncodeToString(sum[:]) != l.Sum {
		return nil, false, errors.New("it is not what was written: its sum differs")
	}
	return l.Data, false, nil
}
