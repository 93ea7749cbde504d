// Package attack holds hostile input against the whole: files, names and bundles made to deceive, to leave something
// behind, or to take the machine down.
//
// Every case is a pair. The same steps are first taken without the fault and must succeed; then the one fault is put in
// and must be refused with exactly one verdict and exactly these reasons. A case whose sound half fails proves nothing,
// so it stops there. What is tried through the binary is held to exact exit codes besides, and to what it leaves behind.
//
// Each family has its file: files, names, changing, bundles (statements, envelopes, shards, legacy), certificates,
// keyless, size, disk. Attacks on a whole chain are chain_*: each reason that a chain has must have one, and each is tried
// in this process and through the command.
package attack
