package lab

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

const overCap = 9 << 20 // bytes; more than any cap on a manifest or a list

// Lies are what only a hostile or badly broken registry says: sound HTTP, and not the truth.
func Lies() []Fault {
	return slices.Concat([]Fault{
		{Name: "not found", Lies: true, Do: func(x *Exchange) { x.page(http.StatusNotFound, "", "") }},
		{Name: "created", Lies: true, Do: func(x *Exchange) { x.page(http.StatusCreated, "", "") }},
		{Name: "one bit flipped", Lies: true, Do: flipped},
	}, blobLies(), manifestLies(), referrerLies())
}

// flipped changes one bit in the middle of a body: in a digest, in a blob, in a length, wherever that is.
func flipped(x *Exchange) {
	a := x.Ask()
	if a.Body = bytes.Clone(a.Body); len(a.Body) > 0 {
		a.Body[len(a.Body)/2] ^= 1
	}
	x.Give(a)
}

func getsBlob(r *http.Request) bool {
	return asks(r, http.MethodGet, "/blobs/") && !strings.Contains(r.URL.Path, "/uploads/")
}

func getsPart(r *http.Request) bool { return getsBlob(r) && r.Header.Get("Range") != "" }

// blobLies are about bytes under a digest, whole and in parts.
func blobLies() []Fault {
	part := func(name string, change func(a *Answer, whole []byte)) Fault {
		return Fault{Name: name, Lies: true, When: getsPart, Do: func(x *Exchange) {
			a := x.Ask()
			x.Request.Header.Del("Range")
			change(a, x.Ask().Body)
			a.Header.Del("Content-Length")
			x.Give(a)
		}}
	}
	return []Fault{
		{Name: "other blob of the same length", Lies: true, When: getsBlob, Do: func(x *Exchange) {
			a := x.Ask()
			a.Body = bytes.Repeat([]byte("x"), len(a.Body))
			x.Give(a)
		}},
		{Name: "part unasked", Lies: true, When: getsBlob, Do: func(x *Exchange) {
			a := x.Ask()
			a.Status = http.StatusPartialContent
			a.Header.Set("Content-Range", fmt.Sprintf("bytes 0-%d/%d", len(a.Body)-1, len(a.Body)))
			x.Give(a)
		}},
		part("range ignored", func(a *Answer, whole []byte) {
			a.Status, a.Body = http.StatusOK, whole
			a.Header.Del("Content-Range")
		}),
		part("range ignored, called a part", func(a *Answer, whole []byte) { a.Body = whole }),
		part("part from the start", func(a *Answer, whole []byte) { a.Body = whole[:len(a.Body)] }),
		part("part said to be elsewhere", func(a *Answer, whole []byte) {
			a.Header.Set("Content-Range", fmt.Sprintf("bytes 1-%d/%d", len(a.Body), len(whole)))
		}),
		part("part without a place", func(a *Answer, _ []byte) { a.Header.Del("Content-Range") }),
		part("part of another size", func(a *Answer, whole []byte) {
			at := a.Header.Get("Content-Range")
			a.Header.Set("Content-Range", at[:strings.IndexByte(at, '/')+1]+itoa(len(whole)+1))
		}),
		part("part that goes on", func(a *Answer, whole []byte) { a.Body = append(bytes.Clone(a.Body), whole...) }),
		part("part too short", func(a *Answer, _ []byte) { a.Body = a.Body[:len(a.Body)/2] }),
		part("no such part", func(a *Answer, _ []byte) {
			a.Status, a.Body = http.StatusRequestedRangeNotSatisfiable, nil
			a.Header.Del("Content-Range")
		}),
	}
}

// manifestLies are about what a digest or tag names.
func manifestLies() []Fault {
	get := func(name string, change func(a *Answer)) Fault {
		return Fault{Name: name, Lies: true, Do: func(x *Exchange) {
			a := x.Ask()
			a.Header.Del("Content-Length")
			if a.Status == http.StatusOK {
				change(a)
			}
			x.Give(a)
		}}.At(http.MethodGet, "/manifests/")
	}
	as := func(mediaType string) func(*Answer) {
		return func(a *Answer) { a.Header.Set("Content-Type", mediaType) }
	}
	return []Fault{
		get("manifest with a space more", func(a *Answer) { a.Body = append(bytes.Clone(a.Body), ' ') }),
		get("manifest over the cap", func(a *Answer) { a.Body = bytes.Repeat([]byte(" "), overCap) }),
		get("manifest served as an index", as(ocispec.MediaTypeImageIndex)),
		get("manifest served as Docker's", as("application/vnd.docker.distribution.manifest.v2+json")),
		get("manifest served as text", as("text/plain")),
		get("manifest with a key twice", func(a *Answer) {
			a.Body = bytes.Replace(a.Body, []byte(`{`), []byte(`{"schemaVersion":2,`), 1)
		}),
		get("index in its place", func(a *Answer) {
			a.Body = fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"manifests":[{"mediaType":%q,"digest":%q,"size":%d}]}`,
				ocispec.MediaTypeImageIndex, ocispec.MediaTypeImageManifest, Digest(a.Body), len(a.Body))
			a.Header.Set("Content-Type", ocispec.MediaTypeImageIndex)
		}),
		get("image in its place", func(a *Answer) {
			a.Body = fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":%q,"digest":%q,"size":2},"layers":[]}`,
				ocispec.MediaTypeImageManifest, ocispec.MediaTypeImageConfig, Digest([]byte("{}")))
			a.Header.Set("Content-Type", ocispec.MediaTypeImageManifest)
		}),
	}
}

// getsList reports whether r is for what refers to an artifact: by the API, or by the fallback tag (distribution-spec 1.1,
// Referrers Tag Schema).
func getsList(r *http.Request) bool {
	return asks(r, http.MethodGet, "/referrers/") || asks(r, http.MethodGet, "/manifests/sha256-")
}

// referrerLies are about what refers to an artifact. A list that hides evidence cannot be told from one that has none;
// everything else can.
func referrerLies() []Fault {
	list := func(name string, change func(x *Exchange, entries []Descriptor) []Descriptor) Fault {
		return Fault{Name: name, Lies: true, Do: func(x *Exchange) {
			a := x.Ask()
			var index struct {
				Manifests []Descriptor `json:"manifests"`
			}
			if a.Status != http.StatusOK || json.Unmarshal(a.Body, &index) != nil {
				x.Give(a)
				return
			}
			for k, v := range a.Header {
				x.Writer.Header()[k] = v
			}
			giveIndex(x, change(x, index.Manifests))
		}, When: getsList}
	}
	each := func(change func(*Descriptor)) func(*Exchange, []Descriptor) []Descriptor {
		return func(_ *Exchange, entries []Descriptor) []Descriptor {
			for i := range entries {
				change(&entries[i])
			}
			return entries
		}
	}
	return []Fault{
		list("referrers hidden", func(*Exchange, []Descriptor) []Descriptor { return []Descriptor{} }),
		list("list without an array", func(*Exchange, []Descriptor) []Descriptor { return nil }),
		list("10,000 foreign referrers", func(_ *Exchange, e []Descriptor) []Descriptor { return append(e, foreign(10_000-len(e))...) }),
		list("more referrers than anybody reads", func(_ *Exchange, e []Descriptor) []Descriptor { return append(e, foreign(10_001)...) }),
		list("every referrer twice", func(_ *Exchange, e []Descriptor) []Descriptor { return append(e, e...) }),
		list("referrers in another order", func(_ *Exchange, e []Descriptor) []Descriptor { slices.Reverse(e); return e }),
		list("another type told", each(func(d *Descriptor) { d.ArtifactType = "application/spdx+json" })),
		list("no type told", each(func(d *Descriptor) { d.ArtifactType = "" })),
		list("another size told", each(func(d *Descriptor) { d.Size++ })),
		list("no digest told", each(func(d *Descriptor) { d.Digest = "" })),
		list("digest in upper case", each(func(d *Descriptor) { d.Digest = strings.ToUpper(d.Digest) })),
		list("digest that is a path", each(func(d *Descriptor) { d.Digest = "sha256:../../../other/manifests/v1" })),
		list("referrers that are not there", each(func(d *Descriptor) { d.Digest = Digest([]byte(d.Digest)) })),
		list("the subject among its referrers", func(x *Exchange, e []Descriptor) []Descriptor {
			subject := x.Request.URL.Path[strings.LastIndexByte(x.Request.URL.Path, '/')+1:]
			return append(e, Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: subject, Size: 1})
		}),
		list("endless pages", func(x *Exchange, e []Descriptor) []Descriptor {
			linkNext(x.Writer, x.Request, url.Values{"last": {x.Request.URL.Query().Get("last") + "x"}})
			return e
		}),
		list("a page that leads to itself", func(x *Exchange, e []Descriptor) []Descriptor {
			linkNext(x.Writer, x.Request, x.Request.URL.Query())
			return e
		}),
		list("a page that leads to another list", func(x *Exchange, e []Descriptor) []Descriptor {
			x.Writer.Header().Set("Link", `</v2/_catalog>; rel="next"`)
			return e
		}),
		list("a page that leads nowhere", func(x *Exchange, e []Descriptor) []Descriptor {
			x.Writer.Header().Set("Link", `<http://[::1>; rel="next"`)
			return e
		}),
	}
}

func giveIndex(x *Exchange, entries []Descriptor) {
	raw, _ := json.Marshal(map[string]any{"schemaVersion": 2, "mediaType": ocispec.MediaTypeImageIndex, "manifests": entries})
	a := &Answer{http.StatusOK, http.Header{"Content-Type": {ocispec.MediaTypeImageIndex}}, raw}
	x.Writer.Header().Del("Content-Length")
	x.Give(a)
}

// foreign is n referrers of a type that is nobody's evidence here.
func foreign(n int) []Descriptor {
	entries := make([]Descriptor, n)
	for i := range entries {
		entries[i] = Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: Digest(fmt.Append(nil, i)), Size: 100, ArtifactType: "application/spdx+json"}
	}
	return entries
}

// The faults that lead elsewhere answer as a registry does that wants its clients to go to another address.

// Redirected answers with a redirect to an address; the request's path is appended.
func Redirected(status int, to string) Fault {
	return Fault{Name: fmt.Sprintf("%d to %s", status, to), Do: func(x *Exchange) {
		x.Writer.Header().Set("Location", to+x.Request.URL.RequestURI())
		x.page(status, "", "")
	}}
}

// LocationAt opens uploads at another address.
func LocationAt(to string) Fault {
	return Fault{Name: "upload at " + to, Do: func(x *Exchange) {
		a := x.Ask()
		if l := a.Header.Get("Location"); l != "" {
			a.Header.Set("Location", to+l)
		}
		x.Give(a)
	}}.At(http.MethodPost, "/blobs/uploads/")
}

// LinkAt continues lists at another address.
func LinkAt(to string) Fault {
	f := Fault{Name: "next page at " + to, Do: func(x *Exchange) {
		a := x.Ask()
		a.Header.Set("Link", fmt.Sprintf(`<%s%s>; rel="next"`, to, x.Request.URL.RequestURI()))
		x.Give(a)
	}}
	f.When = func(r *http.Request) bool {
		return asks(r, http.MethodGet, "/referrers/") || asks(r, http.MethodGet, "/tags/list")
	}
	return f
}

// RealmAt asks for a token from another address.
func RealmAt(to string) Fault {
	return Fault{Name: "token at " + to, Do: func(x *Exchange) {
		x.Writer.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="%s/token",service="lab"`, to))
		x.page(http.StatusUnauthorized, "", "")
	}}
}

// BasicWanted asks for name and password.
func BasicWanted() Fault {
	return Fault{Name: "Basic wanted", Do: func(x *Exchange) {
		x.Writer.Header().Set("WWW-Authenticate", `Basic realm="lab"`)
		x.page(http.StatusUnauthorized, "", "")
	}}
}
