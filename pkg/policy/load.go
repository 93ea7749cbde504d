package policy

// LoadOptions says how a policy file is read.
type LoadOptions struct {
	URI  string                            // where it was read from
	Read func(name string) ([]byte, error) // reads key and certificate files, whose names are relative to the policy; nil: none can be read
}
