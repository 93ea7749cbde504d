// Package token gets OIDC identity tokens: what a workload or a person shows to be given a signing certificate.
//
// Start with [Ambient], which finds the one that the machine offers, and [Source.Token], which fetches it. [Static] and
// [File] take one that the caller has, [Browser] and [Device] ask a person to log in.
//
// A token is a secret until it expires. It goes where [Token.Secret] is handed to and nowhere else: printing a [Token]
// shows no part of it, errors hold none, no request follows a redirect, and none goes over plain HTTP to another machine
// (Google Cloud's metadata server, which knows no other way, is the machine's own). Nothing that a token says is verified
// here: the authority that it is shown to does that.
//
// The package reads environment variables, token files, the output of buildkite-agent, and JSON over HTTP. It writes
// nothing.
package token
