// Package keyless runs keyless signing and verifying against real servers, through the command line: the flow as a
// training job has it, and every way for a server, a token or a clock to be off. What only a lying server could do, and
// the real ones can't be brought to, is tried in pkg/signer against servers of the tests' own.
package keyless
