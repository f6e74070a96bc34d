package ecs

import (
	"slices"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"sluice/internal/awsname"
)

// page cuts a list as ECS's lists are cut: 100 at most, and a token that says where to go on.
func page(all []string, token *string, limit *int32) ([]string, *string, error) {
	from, n := 0, 100
	if token != nil {
		i, err := strconv.Atoi(*token)
		if err != nil || i < 0 || i > len(all) {
			return nil, nil, refuse("InvalidParameterException", "Invalid token.")
		}
		from = i
	}
	if limit != nil {
		if *limit < 1 || *limit > 100 {
			return nil, nil, refuse("InvalidParameterException", "maxResults must be between 1 and 100.")
		}
		n = int(*limit)
	}
	to := min(from+n, len(all))
	part := append([]string{}, all[from:to]...)
	if to == len(all) {
		return part, nil, nil
	}
	return part, aws.String(strconv.Itoa(to)), nil
}

func (m *Model) listTasks(in *ecs.ListTasksInput) (*ecs.ListTasksOutput, error) {
	cluster, err := m.cluster(in.Cluster)
	if err != nil {
		return nil, err
	}
	var s *service
	if in.ServiceName != nil {
		if s, err = m.existing(in.Cluster, in.ServiceName); err != nil {
			return nil, err
		}
	}
	want := string(in.DesiredStatus)
	if want == "" {
		want = running
	}
	var arns []string
	for _, t := range m.tasks {
		if t.service.Cluster == cluster && (s == nil || t.service == s) && t.desired == want {
			arns = append(arns, t.arn)
		}
	}
	part, next, err := page(arns, in.NextToken, in.MaxResults)
	return &ecs.ListTasksOutput{TaskArns: part, NextToken: next}, err
}

// task finds a task of a cluster by its id or ARN; nil if there is none.
func (m *Model) task(cluster, ref string) *task {
	t := m.byID[awsname.Last(ref)]
	if t == nil || t.service.Cluster != cluster {
		return nil
	}
	return t
}

func (m *Model) missingTask(cluster, ref string) types.Failure {
	id := awsname.Last(ref)
	return types.Failure{Arn: aws.String(m.arn("task", cluster+"/"+id)), Reason: aws.String("MISSING")}
}

func (m *Model) describeTasks(in *ecs.DescribeTasksInput) (*ecs.DescribeTasksOutput, error) {
	cluster, err := m.cluster(in.Cluster)
	if err != nil {
		return nil, err
	}
	if len(in.Tasks) == 0 {
		return nil, refuse("InvalidParameterException", "Tasks cannot be empty.")
	}
	if len(in.Tasks) > 100 {
		return nil, refuse("InvalidParameterException", "Tasks cannot have more than 100 elements.")
	}
	out := &ecs.DescribeTasksOutput{Failures: []types.Failure{}, Tasks: make([]types.Task, 0, len(in.Tasks))}
	for _, ref := range in.Tasks {
		if t := m.task(cluster, ref); t != nil {
			out.Tasks = append(out.Tasks, m.describeTask(t))
			if slices.Contains(in.Include, types.TaskFieldTags) {
				out.Tasks[len(out.Tasks)-1].Tags = sdkTags(t.tags)
			}
		} else {
			out.Failures = append(out.Failures, m.missingTask(cluster, ref))
		}
	}
	return out, nil
}

func (m *Model) describeTask(t *task) types.Task {
	s := t.service
	// A description has some twenty strings that it points to: they share one array.
	words := make([]string, 0, 24)
	str := func(w string) *string {
		words = append(words, w)
		return &words[len(words)-1]
	}
	at := func(when time.Time) *time.Time {
		if when.IsZero() {
			return nil
		}
		return &when
	}
	container := types.Container{
		ContainerArn: str(t.containerARN), TaskArn: str(t.arn),
		Name: str(s.Name), RuntimeId: str(t.runtimeID), LastStatus: str(pending),
		NetworkInterfaces: []types.NetworkInterface{{PrivateIpv4Address: str(t.ip)}},
	}
	switch t.status {
	case running, stopping:
		container.LastStatus = str(running)
	case deprovisioning, stopped:
		container.LastStatus = str(stopped)
	}
	if t.exit != nil {
		container.ExitCode = aws.Int32(int32(t.exit.Code))
	}
	if t.containerReason != "" {
		container.Reason = str(t.containerReason)
	}
	out := types.Task{
		TaskArn: str(t.arn), ClusterArn: str(t.clusterARN),
		Group: str(t.group), StartedBy: str(t.deployment),
		TaskDefinitionArn: str(t.definitionARN), LaunchType: types.LaunchTypeFargate,
		LastStatus: str(t.status), DesiredStatus: str(t.desired), AvailabilityZone: str(t.zone),
		CreatedAt: at(t.createdAt), StartedAt: at(t.startedAt), StoppingAt: at(t.stoppingAt), StoppedAt: at(t.stoppedAt),
		Containers: []types.Container{container},
		Attachments: []types.Attachment{{
			Type: str("ElasticNetworkInterface"), Status: str("ATTACHED"),
			Details: []types.KeyValuePair{
				{Name: str("privateDnsName"), Value: str(t.hostname)},
				{Name: str("privateIPv4Address"), Value: str(t.ip)},
			},
		}},
	}
	if t.stopCode != "" {
		out.StopCode, out.StoppedReason = types.TaskStopCode(t.stopCode), str(t.stoppedReason)
	}
	return out
}

func (m *Model) stopTask(in *ecs.StopTaskInput) (*ecs.StopTaskOutput, error) {
	cluster, err := m.cluster(in.Cluster)
	if err != nil {
		return nil, err
	}
	t := m.task(cluster, aws.ToString(in.Task))
	if t == nil {
		return nil, refuse("InvalidParameterException", "The referenced task was not found.")
	}
	reason := aws.ToString(in.Reason)
	if reason == "" {
		reason = "Task stopped by user"
	}
	m.stop(t, m.opts.Now(), "UserInitiated", reason)
	described := m.describeTask(t)
	return &ecs.StopTaskOutput{Task: &described}, nil
}

func (m *Model) updateTaskProtection(in *ecs.UpdateTaskProtectionInput) (*ecs.UpdateTaskProtectionOutput, error) {
	minutes := int32(120)
	if in.ExpiresInMinutes != nil {
		minutes = *in.ExpiresInMinutes
	}
	if minutes < 1 || minutes > 2880 {
		return nil, refuse("InvalidParameterException", "expiresInMinutes must be between 1 and 2880.")
	}
	now := m.opts.Now()
	m.touch()
	protected, failures, err := m.protection(in.Cluster, in.Tasks, func(t *task) (reason string) {
		if !in.ProtectionEnabled {
			t.protectedUntil = time.Time{}
			return ""
		}
		if t.service.blocked && len(t.service.deployments) > 1 {
			return "DEPLOYMENT_BLOCKED" // Protected tasks keep a deployment from its end: no more of them.
		}
		t.protectedUntil = now.Add(time.Duration(minutes) * time.Minute)
		return ""
	})
	if err != nil {
		return nil, err
	}
	return &ecs.UpdateTaskProtectionOutput{ProtectedTasks: protected, Failures: failures}, nil
}

func (m *Model) getTaskProtection(in *ecs.GetTaskProtectionInput) (*ecs.GetTaskProtectionOutput, error) {
	protected, failures, err := m.protection(in.Cluster, in.Tasks, func(*task) string { return "" })
	if err != nil {
		return nil, err
	}
	return &ecs.GetTaskProtectionOutput{ProtectedTasks: protected, Failures: failures}, nil
}

// protection does something to each of at most ten tasks that can be protected, unless set gives a reason why not, and tells
// of each until when it is protected.
func (m *Model) protection(
	ref *string, tasks []string, set func(*task) (reason string),
) ([]types.ProtectedTask, []types.Failure, error) {
	cluster, err := m.cluster(ref)
	if err != nil {
		return nil, nil, err
	}
	if len(tasks) == 0 || len(tasks) > 10 {
		return nil, nil, refuse("InvalidParameterException", "Tasks must have between 1 and 10 elements.")
	}
	protected, failures := make([]types.ProtectedTask, 0, len(tasks)), []types.Failure{}
	for _, ref := range tasks {
		t := m.task(cluster, ref)
		if t == nil {
			failures = append(failures, m.missingTask(cluster, ref))
			continue
		}
		reason := "TASK_NOT_VALID"
		if t.desired == running && t.service.status == active {
			reason = set(t)
		}
		if reason != "" {
			failures = append(failures, types.Failure{Arn: aws.String(t.arn), Reason: aws.String(reason)})
			continue
		}
		p := types.ProtectedTask{TaskArn: aws.String(t.arn)}
		if m.protected(t, m.opts.Now()) {
			p.ProtectionEnabled, p.ExpirationDate = true, aws.Time(t.protectedUntil)
		}
		protected = append(protected, p)
	}
	return protected, failures, nil
}
