package attestations

import (
	"fmt"
	"time"

	"github.com/hallmark-project/hallmark/pkg/hashing"
)

// PredicateDeployment is Hallmark's own: an artifact went somewhere, or was taken from there.
const PredicateDeployment = namespace + "deployment/v1"

// Deployment says where an artifact was put to use, on the strength of which verification.
type Deployment struct {
	Target string           `json:"target"` // URI of where it runs
	Action DeploymentAction `json:"action"`
	VSA    string           `json:"vsa,omitempty"` // own name of the VSA's bundle, "sha256:…"; only a retirement has none
	Time   time.Time        `json:"deployedOn"`
}

// DeploymentAction is what was done.
type DeploymentAction string

// The actions.
const (
	Deployed   DeploymentAction = "deploy"
	RolledBack DeploymentAction = "rollback" // put to use again, in place of a newer one
	Retired    DeploymentAction = "retire"
)

// PredicateType returns PredicateDeployment.
func (Deployment) PredicateType() string { return PredicateDeployment }

// Check returns why d cannot be stated or believed.
func (d Deployment) Check() error {
	if err := checkURI(d.Target); err != nil {
		return fmt.Errorf("target: %w", err)
	}
	switch d.Action {
	case Deployed, RolledBack, Retired:
	default:
		return fmt.Errorf("action %q: it is deploy, rollback or retire", clip(string(d.Action)))
	}
	if d.Action != Retired || d.VSA != "" {
		if _, err := hashing.ParseSum(d.VSA); err != nil {
			return fmt.Errorf("vsa: %w", err)
		}
	}
	return checkTime("deployedOn", d.Time)
}
