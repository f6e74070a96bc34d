package fleet

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"sluice/internal/policy"
)

func TestDeployingRule(t *testing.T) {
	deployment := func(status string, state types.DeploymentRolloutState) types.Deployment {
		return types.Deployment{Status: aws.String(status), RolloutState: state}
	}
	const (
		begun  = types.DeploymentRolloutStateInProgress
		done   = types.DeploymentRolloutStateCompleted
		failed = types.DeploymentRolloutStateFailed
	)
	for _, c := range []struct {
		name string
		s    types.Service
		want bool
	}{
		{"steady", types.Service{Deployments: []types.Deployment{deployment("PRIMARY", done)}}, false},
		{"steady, its count has changed", types.Service{
			DesiredCount: 5, RunningCount: 1, Deployments: []types.Deployment{deployment("PRIMARY", done)},
		}, false},
		{"new", types.Service{Deployments: []types.Deployment{deployment("PRIMARY", begun)}}, false},
		{"failed, with nothing to go back to", types.Service{Deployments: []types.Deployment{deployment("PRIMARY", failed)}}, false},
		{"replacing tasks", types.Service{
			Deployments: []types.Deployment{deployment("PRIMARY", begun), deployment("ACTIVE", done)},
		}, true},
		{"failed, the old tasks are still there", types.Service{
			Deployments: []types.Deployment{deployment("ACTIVE", done), deployment("PRIMARY", failed)},
		}, true},
		{"all replaced", types.Service{
			Deployments: []types.Deployment{deployment("PRIMARY", done), deployment("INACTIVE", done)},
		}, false},
		{"replaced, and being watched", types.Service{
			DeploymentConfiguration: &types.DeploymentConfiguration{BakeTimeInMinutes: aws.Int32(5)},
			Deployments:             []types.Deployment{deployment("PRIMARY", begun)},
		}, true},
		{"watched long enough", types.Service{
			DeploymentConfiguration: &types.DeploymentConfiguration{BakeTimeInMinutes: aws.Int32(5)},
			Deployments:             []types.Deployment{deployment("PRIMARY", done)},
		}, false},
		{"replaced, and not watched", types.Service{
			DeploymentConfiguration: &types.DeploymentConfiguration{BakeTimeInMinutes: aws.Int32(0)},
			Deployments:             []types.Deployment{deployment("PRIMARY", begun)},
		}, false},
		{"replaced, and watched for the least time", types.Service{
			DeploymentConfiguration: &types.DeploymentConfiguration{BakeTimeInMinutes: aws.Int32(1)},
			Deployments:             []types.Deployment{deployment("PRIMARY", begun)},
		}, true},
		{"blue alone", types.Service{TaskSets: make([]types.TaskSet, 1)}, false},
		{"blue and green", types.Service{TaskSets: make([]types.TaskSet, 2)}, true},
		{"no deployment at all", types.Service{}, false},
	} {
		if got := deploying(c.s); got != c.want {
			t.Errorf("%s: got %v, want %v", c.name, got, c.want)
		}
	}
}

func TestTaskState(t *testing.T) {
	for _, c := range []struct {
		last, desired string
		want          policy.TaskState // Empty if it is not there any more.
	}{
		{"PROVISIONING", "RUNNING", policy.TaskPending},
		{"PENDING", "RUNNING", policy.TaskPending},
		{"ACTIVATING", "RUNNING", policy.TaskRunning},
		{"RUNNING", "RUNNING", policy.TaskRunning},
		{"PENDING", "STOPPED", policy.TaskStopping},
		{"RUNNING", "STOPPED", policy.TaskStopping},
		{"DEACTIVATING", "STOPPED", policy.TaskStopping},
		{"STOPPING", "STOPPED", policy.TaskStopping},
		{"DEACTIVATING", "RUNNING", policy.TaskStopping}, // Whatever it was meant to be.
		{"STOPPING", "RUNNING", policy.TaskStopping},
		{"DEPROVISIONING", "STOPPED", ""},
		{"STOPPED", "STOPPED", ""},
		{"DELETED", "STOPPED", ""},
		{"something new", "RUNNING", policy.TaskRunning},
	} {
		got, here := task(types.Task{LastStatus: &c.last, DesiredStatus: &c.desired})
		if got.State != c.want || here != (c.want != "") {
			t.Errorf("%s, meant to be %s: got %q, %v, want %q", c.last, c.desired, got.State, here, c.want)
		}
	}
}
