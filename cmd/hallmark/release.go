package main

import (
	"errors"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hallmark-project/hallmark/attestations"
)

func newRelease(s streams) *cobra.Command {
	var f claimFlags
	var name, version, channel string
	var sequence uint64
	c := &cobra.Command{
		Use:   "release ARTIFACT|REF --name NAME --version VERSION --channel CHANNEL --sequence NUMBER",
		Short: "State that an artifact is a version of something",
		Long: `Sign a release: this artifact is VERSION of NAME, and in CHANNEL newer than whatever has a smaller sequence number.
Versions have no order of their own; the sequence is what a rollback is noticed by.`,
		Example: `  hallmark release ./chat --name acme/chat --version 1.2.0 --channel stable --sequence 7 --private-key release.key`,
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if name == "" || version == "" {
				return withUsage(c, errors.New("--name and --version are needed"))
			}
			r := attestations.Release{PURL: packageURL(name, version), Order: attestations.ReleaseOrder{Channel: channel, Sequence: sequence, ReleasedOn: now()}}
			if err := r.Check(); err != nil {
				return withUsage(c, err)
			}
			found, err := f.find(c.Context(), s, args[0])
			if err != nil {
				return err
			}
			return errors.Join(f.state(c.Context(), s, found, r), found.close())
		},
	}
	f.bind(c)
	c.Flags().StringVar(&name, "name", "", "`NAME` that the artifact is released under, such as acme/chat")
	c.Flags().StringVar(&version, "version", "", "`VERSION` that it is of NAME")
	c.Flags().StringVar(&channel, "channel", "", "`CHANNEL` that the sequence counts in, such as stable")
	c.Flags().Uint64Var(&sequence, "sequence", 0, "`NUMBER` from 1 on, larger with every release in the channel")
	return c
}

// packageURL is the package URL of a version of something that no package manager has.
func packageURL(name, version string) string {
	parts := strings.Split(name, "/")
	for i, p := range parts {
		parts[i] = strings.ReplaceAll(url.PathEscape(p), "@", "%40")
	}
	return "pkg:generic/" + strings.Join(parts, "/") + "@" + strings.ReplaceAll(url.PathEscape(version), "@", "%40")
}
