// Package process runs one command as if it had been typed alone: streams, signals and exit code are its own. It ends when
// everything that the command started has ended, and knows how to write a command down without its secrets.
//
// Start with [Run], and with [NewRedactor] for what is kept of a command line. The package reads and writes no files.
package process
