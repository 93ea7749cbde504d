// Package transfer holds push, verify, pull, attach, copy and signing in place against what networks and registries do to
// them. Every operation meets every fault of test/lab at every request that it makes. Whatever happens, it ends; it ends with the right answer
// or an error that says so; nothing half-done lies under a final name; and once the fault is gone, the same operation
// succeeds.
//
// Start with sweep_test.go. The rest are faults that need a world of their own: hosts that one is led to, manifests and
// packs made to deceive, parts of large layers, a killed process, a full disk, and, with HALLMARK_E2E=1, the distribution
// registry itself. README.md has a table of what goes wrong, and which test holds for it.
package transfer
