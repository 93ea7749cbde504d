package main

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/hallmark-project/hallmark/attestations"
)

func newDeploy(s streams) *cobra.Command {
	var f claimFlags
	var target, action, vsa string
	c := &cobra.Command{
		Use:   "deploy ARTIFACT|REF --target URI --action deploy|rollback|retire --vsa DIGEST",
		Short: "State where an artifact was put to use",
		Long: `Sign that an artifact was deployed, rolled back to, or retired at a target, on the strength of which verification summary.
It moves nothing: it says what was done.`,
		Example: `  hallmark deploy registry.example/llm/chat@sha256:… --target k8s://prod/chat --action deploy --vsa sha256:… --private-key deployer.key`,
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			d := attestations.Deployment{Target: target, Action: attestations.DeploymentAction(action), VSA: vsa, Time: now()}
			if err := d.Check(); err != nil {
				return withUsage(c, err)
			}
			found, err := f.find(c.Context(), s, args[0])
			if err != nil {
				return err
			}
			return errors.Join(f.state(c.Context(), s, found, d), found.close())
		},
	}
	f.bind(c)
	c.Flags().StringVar(&target, "target", "", "`URI` of where it runs")
	c.Flags().StringVar(&action, "action", "", "`ACTION`: deploy, rollback or retire")
	c.Flags().StringVar(&vsa, "vsa", "", "own name of the verification summary's bundle, `sha256:…`; only a retirement does without")
	return c
}
