// Package lab is a small world for tests: an OCI registry that is held in the hand, a proxy before it that does what
// networks and hostile servers do, and a listener that remembers who came by. Nothing in it leaves loopback.
//
// Start with [New] and [NewProxy]; [Serve] puts either on a port. A [Fault] is a value with a name, so that a suite can
// go through all of them and, for each, through every request that an operation makes:
//
//	for n := 1; ; n++ {
//		proxy.Set(lab.Rule{Fault: f, At: n})
//		operate()
//		if proxy.Struck() == 0 {
//			break // the operation makes fewer requests
//		}
//	}
//
// The registry reads and writes OCI manifests, indexes and blobs (image-spec 1.1) by the OCI distribution protocol
// (distribution-spec 1.1). It keeps what conforming clients need, and can leave out what registries leave out.
package lab
