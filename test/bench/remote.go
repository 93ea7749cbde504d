package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/hallmark-project/hallmark/test/lab"
	"github.com/hallmark-project/hallmark/test/lab/distribution"
	"github.com/hallmark-project/hallmark/test/program"
)

// The operations that have a registry at the other end.
const (
	push      operation = "push"
	pushAgain operation = "push-again" // of what is there
	pull      operation = "pull"
	pullCut   operation = "pull-cut"   // over a connection that is cut again and again
	verifyRef operation = "verify-ref" // in the registry, nothing fetched
)

// remote reports whether the operation needs a registry.
func (o operation) remote() bool {
	return o == push || o == pushAgain || o == pull || o == pullCut || o == verifyRef
}

// Names of the tools that only the registry's rows have.
const (
	uncutName        = "hallmark, uncut"
	orasName         = "oras"
	bareDownloadName = "bare download"
	bareUploadName   = "bare upload"
)

const (
	orasPackage  = "oras.land/oras/cmd/oras@v1.3.6"
	cuts         = 10 // in one pull
	loopbackNote = "the registry and, for pull-cut, the proxy run on the same cores as what is measured"
)

// remote is a distribution registry on loopback, and two proxies before it: one that cuts connections and, to compare
// with, one that does not.
type remote struct {
	dir         string // of its files
	binary, key string // hallmark, and the key without its ending
	self        string // this program

	server    *distribution.Server // nil: not started
	calm, cut string               // HOST:PORT of the proxies
	cutting   *lab.Proxy
	listeners []*http.Server
}

// start runs the registry, unless it runs.
func (f *remote) start(ctx context.Context) error {
	if f.server != nil {
		return nil
	}
	binary, err := program.Install(ctx, distribution.Package)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(f.dir, 0o755); err != nil {
		return err
	}
	if f.server, err = distribution.Start(ctx, binary, f.dir); err != nil {
		return err
	}
	f.cutting = lab.NewProxy(lab.Reverse(f.server.Host))
	if f.cut, err = f.listen(f.cutting); err != nil {
		return err
	}
	f.calm, err = f.listen(lab.NewProxy(lab.Reverse(f.server.Host)))
	return err
}

func (f *remote) listen(h http.Handler) (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	s := &http.Server{Handler: h, ErrorLog: log.New(io.Discard, "", 0)}
	f.listeners = append(f.listeners, s)
	go func() { _ = s.Serve(l) }()
	return l.Addr().String(), nil
}

// close ends what start started.
func (f *remote) close() error {
	if f.server == nil {
		return nil
	}
	var all []error
	for _, s := range f.listeners {
		all = append(all, s.Close())
	}
	return errors.Join(append(all, f.server.Close())...)
}

// ref is where a dataset lies, by a tool of its own where tools push.
func ref(host string, d *dataset, tool string) string {
	return fmt.Sprintf("%s/bench/%s-%s:v1", host, d.Name, strings.ReplaceAll(tool, " ", "-"))
}

// stage signs the data and, for all rows but those that push, has it in the registry.
func (f *remote) stage(ctx context.Context, op operation, d *dataset) error {
	if err := runs([]string{f.binary, "sign", "--quiet", "--private-key", f.key + ".key", d.path})(ctx); err != nil {
		return err
	}
	if op == push {
		return nil
	}
	if d.sparse {
		if err := f.plant(ctx, d); err != nil {
			return fmt.Errorf("put data %s into the registry: %w", d.Name, err)
		}
	}
	return runs([]string{f.binary, "push", "--quiet", d.path, ref(f.server.Host, d, hallmarkName)})(ctx)
}

// plant puts the one file of a dataset of zeros where the registry keeps its blobs: sent, it would take its whole size on
// the disk. What hallmark then finds to be there, it does not send.
func (f *remote) plant(ctx context.Context, d *dataset) error {
	var sum [32]byte
	if err := hashFile(ctx, d.path, make([]byte, 1<<20), &sum); err != nil {
		return err
	}
	digest := fmt.Sprintf("%x", sum)
	data := filepath.Join(f.server.Storage, "blobs", "sha256", digest[:2], digest, "data")
	name, _, _ := strings.Cut(ref("", d, hallmarkName)[1:], ":")
	link := filepath.Join(f.server.Storage, "repositories", name, "_layers", "sha256", digest, "link")
	if err := errors.Join(os.MkdirAll(filepath.Dir(data), 0o755), os.MkdirAll(filepath.Dir(link), 0o755)); err != nil {
		return err
	}
	return errors.Join(os.WriteFile(link, []byte("sha256:"+digest), 0o644), os.WriteFile(data, nil, 0o644), os.Truncate(data, d.Size))
}

// clear takes everything away that a row left.
func (f *remote) clear(d *dataset) error {
	return errors.Join(f.server.Empty(), removes(d.evidence()...)())
}

// out is where a tool pulls to.
func (f *remote) out(tool string) string { return filepath.Join(f.dir, "out-"+tool) }

// ours are hallmark's tasks; nil where it is no operation with a registry.
func (f *remote) ours(op operation, d *dataset) *task {
	if !op.remote() {
		return nil
	}
	at := ref(f.server.Host, d, hallmarkName)
	switch op {
	case push:
		return &task{args: []string{f.binary, "push", "--quiet", d.path, at}, after: f.server.Empty}
	case pushAgain:
		return &task{args: []string{f.binary, "push", "--quiet", d.path, at}}
	case pull:
		return f.pulls(f.server.Host, d, hallmarkName)
	case pullCut:
		return f.cutTen(f.pulls(f.cut, d, hallmarkName), d, true)
	}
	return &task{args: []string{f.binary, "verify", "--quiet", "--public-key", f.key + ".pub", at}}
}

// pulls is a pull by hallmark from a host.
func (f *remote) pulls(host string, d *dataset, tool string) *task {
	out := f.out(tool)
	return &task{
		args:  []string{f.binary, "pull", "--quiet", "--public-key", f.key + ".pub", ref(host, d, hallmarkName), out},
		after: removes(out), cleanup: removes(out, out+".partial"),
	}
}

// cutTen has the proxy cut connections in each run of a task, evenly over its bytes. A run of ours that was not cut as
// often proves nothing.
func (f *remote) cutTen(t *task, d *dataset, all bool) *task {
	var c *lab.Cuts
	t.before = func() {
		c = &lab.Cuts{Every: d.bytes() / (cuts + 1), Times: cuts}
		f.cutting.Set(lab.Rule{Fault: c.Fault()})
	}
	after := t.after
	t.after = func() error {
		if n := c.Struck(); all && n != cuts {
			return errors.Join(after(), fmt.Errorf("cut %d times, not %d", n, cuts))
		}
		return after()
	}
	return t
}

// oursUncut is hallmark through a proxy that does nothing: what the cuts are compared with.
func oursUncut(f *remote) *tool {
	return &tool{Name: uncutName, Note: "through the same kind of proxy", tasks: func(op operation, d *dataset) *task {
		if op != pullCut {
			return nil
		}
		return f.pulls(f.calm, d, "uncut")
	}}
}

// oras carries files and checks their digests. It pulls what hallmark pushed.
func oras(ctx context.Context, f *remote, say func(string, ...any)) *tool {
	t := &tool{Name: orasName, Peer: true, Note: "digests checked, no signature"}
	say("looking for %s (built where it is missing)", orasPackage)
	path, err := program.Install(ctx, orasPackage)
	if err != nil {
		t.Missing = err.Error()
	} else if t.Version, err = output(exec.CommandContext(ctx, path, "version")); err != nil {
		t.Missing = err.Error()
	}
	t.Version = strings.TrimSpace(strings.TrimPrefix(t.Version, "Version:"))
	t.tasks = func(op operation, d *dataset) *task {
		pulls := func(host string) *task {
			out := f.out(orasName)
			return &task{args: []string{path, "pull", "--plain-http", "--no-tty", "--output", out, ref(host, d, hallmarkName)},
				after: removes(out), cleanup: removes(out)}
		}
		switch op {
		case push, pushAgain:
			to := ref(f.server.Host, d, orasName)
			args := append([]string{path, "push", "--plain-http", "--no-tty", to}, d.names...)
			if op == push {
				return &task{args: args, dir: d.dir, after: f.server.Empty}
			}
			return &task{args: args, dir: d.dir, prepare: func(ctx context.Context) error {
				c := exec.CommandContext(ctx, args[0], args[1:]...)
				c.Dir = d.dir
				_, err := output(c)
				return err
			}}
		case pull:
			return pulls(f.server.Host)
		case pullCut:
			return f.cutTen(pulls(f.cut), d, false)
		}
		return nil
	}
	return t
}

// bareDownloads is this program as a loop that fetches, hashes and writes, and does nothing else.
func bareDownloads(f *remote) *tool {
	return &tool{Name: bareDownloadName, Peer: true, Note: "net/http and crypto/sha256, to files", Version: runtime.Version(),
		tasks: func(op operation, d *dataset) *task {
			if op != pull {
				return nil
			}
			out := f.out("bare")
			return &task{args: []string{f.self, bareDownloadCommand, ref(f.server.Host, d, hallmarkName), out, fmt.Sprint(runtime.NumCPU())},
				after: removes(out), cleanup: removes(out)}
		}}
}

// bareUploads is this program as a loop that hashes and sends. It is for information: it writes no manifest.
func bareUploads(f *remote) *tool {
	return &tool{Name: bareUploadName, Note: "each file hashed, then sent; no manifest, for information", Version: runtime.Version(),
		tasks: func(op operation, d *dataset) *task {
			if op != push {
				return nil
			}
			return &task{args: []string{f.self, bareUploadCommand, ref(f.server.Host, d, "bare"), fmt.Sprint(runtime.NumCPU())},
				dir: d.dir, input: d.list, after: f.server.Empty}
		}}
}
