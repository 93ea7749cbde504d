package lab_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/hallmark-project/hallmark/test/lab"
)

const asManifest = "application/vnd.oci.image.manifest.v1+json"

// answer is what came back: never a redirect followed.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// ask sends one request, the headers as "Name: value".
func ask(t *testing.T, method, url string, body []byte, headers ...string) (answer, error) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range headers {
		k, v, _ := strings.Cut(h, ": ")
		r.Header.Set(k, v)
	}
	r.Close = true
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, raw}, err
}

// must is ask for a request that has to be answered, with a status.
func must(t *testing.T, status int, method, url string, body []byte, headers ...string) answer {
	t.Helper()
	a, err := ask(t, method, url, body, headers...)
	if err != nil || a.status != status {
		t.Fatalf("%s %s: %d %s (%v), want %d", method, url, a.status, a.body, err, status)
	}
	return a
}

// referring is a manifest with a subject.
func referring(subject, kind string, n int) []byte {
	return fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"artifactType":%q,"config":{"mediaType":"application/vnd.oci.empty.v1+json","digest":%q,"size":2},"layers":[],"subject":{"mediaType":%q,"digest":%q,"size":1},"annotations":{"n":"%d"}}`,
		asManifest, kind, lab.Digest([]byte("{}")), asManifest, subject, n)
}

func TestRegistryTakesUploadsInEveryForm(t *testing.T) {
	for kind, dir := range map[string]string{"memory": "", "disk": t.TempDir()} {
		t.Run(kind, func(t *testing.T) {
			g := lab.New(lab.Options{Dir: dir})
			at := "http://" + lab.Serve(t, g)
			content := bytes.Repeat([]byte("weights"), 300_000)
			digest := lab.Digest(content)
			start := func(repo string) string {
				return at + must(t, 202, "POST", at+"/v2/"+repo+"/blobs/uploads/", nil).header.Get("Location")
			}
			must(t, 201, "POST", at+"/v2/one/blobs/uploads/?digest="+digest, content)
			must(t, 201, "PUT", start("two")+"&digest="+digest, content)
			first := must(t, 202, "PATCH", start("three"), content[:1000], "Content-Range: 0-999")
			next := at + first.header.Get("Location")
			if first.header.Get("Range") != "0-999" {
				t.Errorf("after a chunk the range is %q", first.header.Get("Range"))
			}
			must(t, 416, "PATCH", next, content[2000:3000], "Content-Range: 2000-2999")
			second := must(t, 202, "PATCH", next, content[1000:], fmt.Sprintf("Content-Range: 1000-%d", len(content)-1))
			must(t, 416, "PATCH", next, content[:9]) // an address that was used up
			must(t, 201, "PUT", at+second.header.Get("Location")+"&digest="+digest, nil)
			must(t, 201, "POST", at+"/v2/four/blobs/uploads/?mount="+digest+"&from=one", nil)
			must(t, 202, "POST", at+"/v2/five/blobs/uploads/?mount="+digest+"&from=nobody", nil)
			for _, repo := range []string{"one", "two", "three", "four"} {
				if got := must(t, 200, "GET", at+"/v2/"+repo+"/blobs/"+digest, nil); !bytes.Equal(got.body, content) {
					t.Errorf("%s has other bytes", repo)
				}
			}
			must(t, 404, "HEAD", at+"/v2/five/blobs/"+digest, nil)
			must(t, 400, "PUT", start("five")+"&digest="+digest, content[1:])
			must(t, 404, "HEAD", at+"/v2/five/blobs/"+digest, nil)
			if dir != "" {
				if left, err := os.ReadDir(dir); err != nil || len(left) != 3 {
					t.Errorf("%d files on disk (%v)", len(left), err)
				}
			}
		})
	}
}

func TestRegistryAnswersForParts(t *testing.T) {
	for _, ignore := range []bool{false, true} {
		g := lab.New(lab.Options{IgnoreRange: ignore})
		digest := g.PutBlob("m", []byte("0123456789"))
		at := "http://" + lab.Serve(t, g) + "/v2/m/blobs/" + digest
		if ignore {
			if got := must(t, 200, "GET", at, nil, "Range: bytes=2-4"); string(got.body) != "0123456789" {
				t.Errorf("the whole is %q", got.body)
			}
			continue
		}
		got := must(t, 206, "GET", at, nil, "Range: bytes=2-4")
		if string(got.body) != "234" || got.header.Get("Content-Range") != "bytes 2-4/10" {
			t.Errorf("part is %q, said to be %q", got.body, got.header.Get("Content-Range"))
		}
		must(t, 416, "GET", at, nil, "Range: bytes=10-")
	}
}

func TestRegistryHoldsManifestsToWhatTheyName(t *testing.T) {
	g := lab.New(lab.Options{Referrers: true})
	at := "http://" + lab.Serve(t, g) + "/v2/m/manifests/"
	subject := lab.Digest([]byte("subject"))
	raw := referring(subject, "a/b", 1)
	as := "Content-Type: " + asManifest
	must(t, 400, "PUT", at+"v1", raw, as) // its config is not there
	g.PutBlob("m", []byte("{}"))
	must(t, 400, "PUT", at+subject, raw, as)
	must(t, 400, "PUT", at+"v1", raw, "Content-Type: text/plain")
	if got := must(t, 201, "PUT", at+"v1", raw, as); got.header.Get("OCI-Subject") != subject {
		t.Errorf("subject noted: %q", got.header.Get("OCI-Subject"))
	}
	if got := must(t, 200, "GET", at+"v1", nil); !bytes.Equal(got.body, raw) || got.header.Get("Content-Type") != asManifest {
		t.Errorf("manifest came back as %q, %q", got.header.Get("Content-Type"), got.body)
	}
	must(t, 202, "DELETE", at+lab.Digest(raw), nil)
	must(t, 404, "GET", at+"v1", nil)
	silent := lab.New(lab.Options{Referrers: true, NoSubjectHeader: true})
	silent.PutBlob("m", []byte("{}"))
	other := "http://" + lab.Serve(t, silent) + "/v2/m/manifests/v1"
	if got := must(t, 201, "PUT", other, raw, as); got.header.Get("OCI-Subject") != "" {
		t.Error("it says what it should keep to itself")
	}
}

// walk reads a list page by page and returns its entries and how many pages they were on.
func walk(t *testing.T, host, path, member string) (entries []any, pages int) {
	t.Helper()
	for path != "" && pages < 100 {
		a := must(t, 200, "GET", "http://"+host+path, nil)
		var page map[string]any
		if err := json.Unmarshal(a.body, &page); err != nil {
			t.Fatal(err)
		}
		entries = append(entries, page[member].([]any)...)
		pages++
		_, link, _ := strings.Cut(a.header.Get("Link"), "<")
		path, _, _ = strings.Cut(link, ">")
	}
	return entries, pages
}

func TestRegistryGivesListsInPages(t *testing.T) {
	for _, row := range []struct{ size, pages int }{{0, 1}, {2, 3}, {5, 1}} {
		g := lab.New(lab.Options{Referrers: true, PageSize: row.size})
		host := lab.Serve(t, g)
		subject := lab.Digest([]byte("subject"))
		for i := range 5 {
			g.PutManifest("m", asManifest, referring(subject, "a/b", i), fmt.Sprint("v", i))
			g.PutManifest(fmt.Sprint("r", i), asManifest, referring(lab.Digest([]byte("other")), "a/b", i), "")
		}
		g.PutManifest("m", asManifest, referring(subject, "c/d", 9), "")
		g.Tag("r0", "x", "")
		for _, list := range []struct {
			path, member string
			entries      int
			pages        int
		}{
			{"/v2/m/referrers/" + subject + "?artifactType=a/b", "manifests", 5, row.pages},
			{"/v2/m/tags/list", "tags", 5, row.pages},
			{"/v2/_catalog", "repositories", 6, map[int]int{0: 1, 2: 3, 5: 2}[row.size]},
		} {
			entries, pages := walk(t, host, list.path, list.member)
			if len(entries) != list.entries || pages != list.pages {
				t.Errorf("%s with pages of %d: %d entries on %d pages, want %d on %d", list.path, row.size, len(entries), pages, list.entries, list.pages)
			}
		}
		if entries, _ := walk(t, host, "/v2/m/referrers/"+subject, "manifests"); len(entries) != 6 {
			t.Errorf("unfiltered there are %d referrers", len(entries))
		}
		if entries, pages := walk(t, host, "/v2/m/tags/list?n=1", "tags"); len(entries) != 5 || pages != 5 {
			t.Errorf("one tag a page: %d on %d", len(entries), pages)
		}
	}
	host := lab.Serve(t, lab.New(lab.Options{}))
	must(t, 404, "GET", "http://"+host+"/v2/m/referrers/"+lab.Digest(nil), nil)
}

func TestRegistryGivesTokensToWhoMayHaveThem(t *testing.T) {
	g := lab.New(lab.Options{Tokens: true, User: "ann", Password: "secret", TokenUses: 2})
	digest := g.PutBlob("m", []byte("x"))
	at := "http://" + lab.Serve(t, g)
	blob := at + "/v2/m/blobs/" + digest
	challenge := must(t, 401, "GET", blob, nil).header.Get("WWW-Authenticate")
	if want := `scope="repository:m:pull"`; !strings.Contains(challenge, want) {
		t.Errorf("challenge %s has no %s", challenge, want)
	}
	get := func(scope string) string {
		const annSecret = "Authorization: Basic YW5uOnNlY3JldA=="
		var token struct{ Token string }
		if err := json.Unmarshal(must(t, 200, "GET", at+"/token?scope="+scope, nil, annSecret).body, &token); err != nil {
			t.Fatal(err)
		}
		return "Authorization: Bearer " + token.Token
	}
	must(t, 401, "GET", at+"/token?scope=repository:m:pull", nil)
	token := get("repository:m:pull")
	must(t, 401, "POST", at+"/v2/m/blobs/uploads/", nil, token)
	must(t, 401, "GET", at+"/v2/other/blobs/"+digest, nil, token)
	must(t, 200, "GET", blob, nil, token)
	must(t, 200, "GET", blob, nil, token)
	must(t, 401, "GET", blob, nil, token) // used up
	must(t, 202, "POST", at+"/v2/m/blobs/uploads/", nil, get("repository:m:pull,push"))
}

func TestRegistryRedirectsToItsStorage(t *testing.T) {
	g := lab.New(lab.Options{})
	storage := "http://" + lab.Serve(t, g.Storage()) + "/bucket/"
	h := lab.New(lab.Options{BlobsAt: storage})
	digest := g.PutBlob("m", []byte("x"))
	h.PutBlob("m", []byte("x"))
	a := must(t, 307, "GET", "http://"+lab.Serve(t, h)+"/v2/m/blobs/"+digest, nil)
	must(t, 200, "GET", a.header.Get("Location"), nil)
	must(t, 400, "GET", a.header.Get("Location"), nil, "Authorization: Bearer x")
}

func TestCloneIsApart(t *testing.T) {
	g := lab.New(lab.Options{})
	g.PutManifest("m", asManifest, []byte("{}"), "v1")
	c := g.Clone()
	c.Tag("m", "v1", "")
	c.PutBlob("m", []byte("new"))
	if len(g.Tags("m")) != 1 || len(g.Blobs("m")) != 0 || len(c.Tags("m")) != 0 || len(c.Manifests("m")) != 1 {
		t.Errorf("origin has tags %v and blobs %v", g.Tags("m"), g.Blobs("m"))
	}
}
