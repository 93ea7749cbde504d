// Package host finds out where a command is about to run: the git commit of its directory, the lock files there, the Python
// packages that it would import, frameworks, accelerators, the CI job. It looks at files and asks git; it starts nothing
// else, dials nobody, and knows no machine's name.
//
// Start with [Find], and with [FindCommit] for a single directory. All of it is what the machine says of itself.
package host
