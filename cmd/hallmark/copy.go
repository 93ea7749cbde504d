package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/hallmark-project/hallmark/registry"
)

func newCopy(s streams) *cobra.Command {
	var net networkFlags
	var out output
	var canonical bool
	c := &cobra.Command{
		Use:   "copy SRC DST",
		Short: "Carry an artifact with all its evidence to another registry, layout or archive",
		Long: `Carry an artifact and everything that refers to it between registries, OCI layouts (oci:DIR) and single tar files
for an air gap (oci-archive:FILE). Digests stay, the tag moves last, and what was left behind is said.

--canonical republishes a ModelPack artifact of other tools, whose layers are single uncompressed files, under its
canonical manifest, for its publisher to sign with hallmark sign DST. Evidence on the old manifest does not come along.`,
		Example: `  hallmark copy registry.example/llm/chat:v1 oci-archive:chat.tar:v1
  hallmark copy oci-archive:chat.tar:v1 registry.internal/llm/chat:v1
  hallmark copy --canonical registry.example/llm/packed:v1 registry.example/llm/chat:v1`,
		Args: cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			from, err := registry.ParseRef(args[0])
			if err != nil {
				return usageError{err}
			}
			to, err := registry.ParseRef(args[1])
			if err != nil {
				return usageError{err}
			}
			bar := newProgress(s, "copied", out)
			defer bar.stop()
			copied, err := registry.Copy(c.Context(), from, to, registry.CopyOptions{
				From: net.options(), To: net.options(), Canonical: canonical, Progress: bar.update,
			})
			bar.stop()
			if err != nil {
				return err
			}
			return showCopied(s, copied, out)
		},
	}
	c.Flags().BoolVar(&canonical, "canonical", false, "republish a ModelPack artifact of single files under its canonical manifest")
	net.bind(c.Flags())
	out.bind(c.Flags(), "print the pinned reference alone")
	return c
}

func showCopied(s streams, c registry.Copied, out output) error {
	switch {
	case out.JSON:
		return writeJSON(s.out, struct {
			Schema   string   `json:"schema"`
			Pinned   string   `json:"pinned"`
			Digest   string   `json:"digest"`
			Tag      string   `json:"tag,omitempty"`
			Evidence int      `json:"evidence"`
			Left     []string `json:"left"`
		}{"hallmark.copied/v1", c.Pinned, c.Digest, c.Tag, c.Evidence, c.Left})
	case out.Quiet:
		_, err := fmt.Fprintln(s.out, c.Pinned)
		return err
	}
	fmt.Fprintf(s.out, "copied    %s\n", printable(c.Pinned))
	if c.Tag != "" {
		fmt.Fprintf(s.out, "tag       %s\n", c.Tag)
	}
	_, err := fmt.Fprintf(s.out, "evidence  %d came along\n", c.Evidence)
	for _, l := range c.Left {
		_, err = fmt.Fprintf(s.out, "left      %s\n", printable(l))
	}
	return err
}
