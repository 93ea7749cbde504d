package lab

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	dripEvery = 40 * time.Millisecond // between two bytes of a drip
	maxDrip   = 200                   // bytes of a drip, after which the connection ends
	maxAsked  = 1 << 30               // bytes of a request that are read to the end
)

// Broken are the faults of networks and of servers that mean no harm. They are for any request, and none of them gives
// a complete and sound answer that is not the registry's own.
func Broken() []Fault {
	faults := []Fault{
		{Name: "reset before", Do: func(x *Exchange) { x.readAll(); x.Reset() }},
		{Name: "reset after", Do: func(x *Exchange) { x.Ask(); x.Reset() }},
		{Name: "reset at once", Do: func(x *Exchange) { x.Reset() }}, // with the request on its way
		{Name: "reset within", Do: func(x *Exchange) { a := x.Ask(); x.Cut(a, len(a.Body)/2, true) }},
		{Name: "closed before", Do: func(x *Exchange) { x.readAll(); panic(http.ErrAbortHandler) }},
		{Name: "closed after", Do: func(x *Exchange) { x.Ask(); panic(http.ErrAbortHandler) }},
		{Name: "truncated", Do: func(x *Exchange) { a := x.Ask(); x.Cut(a, len(a.Body)/2, false) }},
		{Name: "last byte missing", Do: func(x *Exchange) { a := x.Ask(); x.Cut(a, len(a.Body)-min(1, len(a.Body)), false) }},
		{Name: "shorter in form", Do: shorter},
		{Name: "longer in form", Do: longer},
		{Name: "length too large", Do: func(x *Exchange) { lengthOff(x, 7) }},
		{Name: "length too small", Do: func(x *Exchange) { lengthOff(x, -7) }},
		{Name: "no HTTP", Do: func(x *Exchange) { x.readAll(); x.Raw([]byte("220 mail.example ESMTP\r\n")) }},
		{Name: "login page", Do: func(x *Exchange) { x.page(http.StatusOK, "text/html", "<html>log in first</html>") }},
		{Name: "nothing", Do: func(x *Exchange) { x.page(http.StatusOK, "application/octet-stream", "") }},
		{Name: "no content", Do: func(x *Exchange) { x.page(http.StatusNoContent, "", "") }},
		{Name: "compressed", Do: compressed},
		{Name: "401 without a challenge", Do: func(x *Exchange) { x.page(http.StatusUnauthorized, "", "") }},
		{Name: "401 for Basic", Do: func(x *Exchange) {
			x.Writer.Header().Set("WWW-Authenticate", `Basic realm="lab"`)
			x.page(http.StatusUnauthorized, "", "")
		}},
		{Name: "401 after", Do: func(x *Exchange) { x.Ask(); x.page(http.StatusUnauthorized, "", "") }},
	}
	for _, s := range []int{403, 405, 408, 429, 500, 502, 503, 504} {
		faults = append(faults, Status(s, ""))
	}
	return append(faults,
		Status(http.StatusTooManyRequests, "0"), Status(http.StatusServiceUnavailable, "0"),
		Fault{Name: "500 after", Do: func(x *Exchange) { x.Ask(); x.page(500, "", "") }},
	)
}

// Slow are the faults that cost a client its timeout.
func Slow() []Fault {
	return []Fault{
		{Name: "hangs", Do: func(x *Exchange) { x.Hang() }},
		{Name: "hangs after", Do: func(x *Exchange) { x.Ask(); x.Hang() }},
		{Name: "hangs within", Do: func(x *Exchange) { a := x.Ask(); x.some(a, len(a.Body)/2); x.Hang() }},
		{Name: "drips", Do: drip},
	}
}

// Status answers with a status and, unless it is empty, Retry-After; the registry does not hear of the request.
func Status(code int, retryAfter string) Fault {
	name := strconv.Itoa(code)
	if retryAfter != "" {
		name += " Retry-After " + retryAfter
	}
	return Fault{Name: name, Do: func(x *Exchange) {
		if retryAfter != "" {
			x.Writer.Header().Set("Retry-After", retryAfter)
		}
		x.page(code, "application/json", `{"errors":[{"code":"LAB","message":"so it was asked"}]}`)
	}}
}

// CutAfter ends the connection after n bytes of a body.
func CutAfter(n int) Fault {
	return Fault{Name: "cut after " + strconv.Itoa(n), Do: func(x *Exchange) { x.Cut(x.Ask(), n, false) }}
}

// CutUpload takes n bytes of what a client sends, and resets the connection.
func CutUpload(n int64) Fault {
	f := Fault{Name: fmt.Sprintf("upload cut after %d", n), Do: func(x *Exchange) {
		_, _ = io.CopyN(io.Discard, x.Request.Body, n)
		x.Reset()
	}}
	f.When = func(r *http.Request) bool { return r.ContentLength > n || r.ContentLength < 0 }
	return f
}

// Stall sends the first n bytes of a body, calls reached, and then nothing more comes. However small the body is, its last
// byte is not among them, so that nobody can go on as if it had come.
func Stall(n int, reached func()) Fault {
	return Fault{Name: fmt.Sprintf("stalls after %d", n), Do: func(x *Exchange) {
		a := x.Ask()
		if x.Request.Method != http.MethodHead { // its head is all of it
			x.some(a, max(0, min(n, len(a.Body)-1)))
		}
		reached()
		x.Hang()
	}}
}

// Meanwhile has something happen before the registry answers.
func Meanwhile(name string, happen func()) Fault {
	return Fault{Name: name, Do: func(x *Exchange) { happen(); x.Pass() }}
}

func (x *Exchange) readAll() { _, _ = io.Copy(io.Discard, io.LimitReader(x.Request.Body, maxAsked)) }

// page answers without the registry.
func (x *Exchange) page(status int, mediaType, body string) {
	x.readAll()
	a := &Answer{status, http.Header{}, []byte(body)}
	if mediaType != "" {
		a.Header.Set("Content-Type", mediaType)
	}
	x.Give(a)
}

// some sends the head of an answer and the first n bytes of its body.
func (x *Exchange) some(a *Answer, n int) {
	if x.Request.Method != http.MethodHead {
		a.Header.Set("Content-Length", itoa(max(len(a.Body), 1)))
	}
	for k, v := range a.Header {
		x.Writer.Header()[k] = v
	}
	x.Writer.WriteHeader(a.Status)
	_, _ = x.Writer.Write(a.Body[:n])
	_ = http.NewResponseController(x.Writer).Flush()
}

// shorter and longer give another body, soundly framed: nothing but a digest or a parser can tell.
func shorter(x *Exchange) {
	a := x.Ask()
	a.Header.Del("Content-Length")
	a.Body = a.Body[:len(a.Body)/2]
	x.Give(a)
}

func longer(x *Exchange) {
	a := x.Ask()
	a.Header.Del("Content-Length")
	a.Body = append(bytes.Clone(a.Body), "and more"...)
	x.Give(a)
}

func lengthOff(x *Exchange, by int) {
	a := x.Ask()
	length := len(a.Body)
	if told, err := strconv.Atoi(a.Header.Get("Content-Length")); err == nil {
		length = told
	}
	a.Header.Set("Content-Length", itoa(max(length+by, 0)))
	x.Give(a)
}

// compressed answers as some proxies do, whatever the client accepts.
func compressed(x *Exchange) {
	a := x.Ask()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write(a.Body)
	_ = z.Close()
	a.Body = b.Bytes()
	a.Header.Del("Content-Length")
	a.Header.Set("Content-Encoding", "gzip")
	x.Give(a)
}

// drip sends a byte at a time: it moves, and gets nowhere.
func drip(x *Exchange) {
	a := x.Ask()
	x.some(a, 0)
	tick := time.NewTicker(dripEvery)
	defer tick.Stop()
	for i := range min(len(a.Body), maxDrip) {
		select {
		case <-x.Request.Context().Done():
			panic(http.ErrAbortHandler)
		case <-x.proxy.done:
			panic(http.ErrAbortHandler)
		case <-tick.C:
		}
		_, _ = x.Writer.Write(a.Body[i : i+1])
		_ = http.NewResponseController(x.Writer).Flush()
	}
	panic(http.ErrAbortHandler)
}

// asks reports whether r is of a method and has part in its path; an empty method is any.
func asks(r *http.Request, method, part string) bool {
	return (method == "" || r.Method == method) && strings.Contains(r.URL.Path, part)
}

func itoa(n int) string { return strconv.Itoa(n) }
