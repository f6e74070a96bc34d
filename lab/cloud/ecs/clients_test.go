package ecs_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awsecs "github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"

	"sluice/lab/cloud/ecs"
	"sluice/lab/testenv"
)

// serve returns the endpoint of a model, and an SDK client of it that tries nothing twice.
func serve(t *testing.T, m *ecs.Model) (endpoint string, client *awsecs.Client) {
	t.Helper()
	server := httptest.NewServer(m)
	t.Cleanup(server.Close)
	return server.URL, awsecs.New(awsecs.Options{
		Region: "us-east-1", BaseEndpoint: &server.URL, Retryer: aws.NopRetryer{},
		Credentials: credentials.NewStaticCredentialsProvider("test", "test", ""),
	})
}

// python runs a command of the Python environment against an endpoint, with no way to the real AWS.
func python(t *testing.T, endpoint, program string, args ...string) string {
	t.Helper()
	cmd := exec.Command(program, args...)
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "AWS_ENDPOINT_URL=" + endpoint, "AWS_DEFAULT_REGION=us-east-1",
		"AWS_ACCESS_KEY_ID=test", "AWS_SECRET_ACCESS_KEY=test", "AWS_EC2_METADATA_DISABLED=true", "AWS_PAGER=",
	}
	out, err := cmd.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			t.Fatalf("%s %v: %v\n%s", program, args, err, exit.Stderr)
		}
		t.Fatal(err)
	}
	return string(out)
}

func TestBoto3(t *testing.T) {
	interpreter := testenv.Python(t)
	m := ecs.New(ecs.Options{})
	defer m.Close()
	if err := m.CreateService(ecs.ServiceConfig{Cluster: "prod", Name: "worker", Tags: map[string]string{"team": "blue"}}); err != nil {
		t.Fatal(err)
	}
	endpoint, _ := serve(t, m)
	got := python(t, endpoint, interpreter, "-c", `
import boto3
ecs = boto3.client("ecs")
def look():
    s = ecs.describe_services(cluster="prod", services=["worker"], include=["TAGS"])["services"][0]
    print(s["desiredCount"], s["runningCount"], s["pendingCount"], s["status"], s["tags"], s["createdAt"].year > 2000)
look()
print(ecs.update_service(cluster="prod", service="worker", desiredCount=2)["service"]["desiredCount"])
look()
arns = ecs.list_tasks(cluster="prod", serviceName="worker")["taskArns"]
p = ecs.update_task_protection(cluster="prod", tasks=arns[:1], protectionEnabled=True)["protectedTasks"]
print(len(arns), p[0]["protectionEnabled"], [t["lastStatus"] for t in ecs.describe_tasks(cluster="prod", tasks=arns)["tasks"]])
print([f["reason"] for f in ecs.describe_services(cluster="prod", services=["nobody"])["failures"]])
try:
    ecs.describe_services(cluster="nowhere", services=["worker"])
except ecs.exceptions.ClusterNotFoundException as e:
    print(e)
`)
	want := `0 0 0 ACTIVE [{'key': 'team', 'value': 'blue'}] True
2
2 2 0 ACTIVE [{'key': 'team', 'value': 'blue'}] True
2 True ['RUNNING', 'RUNNING']
['MISSING']
An error occurred (ClusterNotFoundException) when calling the DescribeServices operation: Cluster not found.
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("boto3 (-want +got):\n%s", diff)
	}
}

func TestCommandLine(t *testing.T) {
	aws := filepath.Join(filepath.Dir(testenv.Python(t)), "aws")
	m := ecs.New(ecs.Options{})
	defer m.Close()
	if err := m.CreateService(ecs.ServiceConfig{Name: "worker"}); err != nil {
		t.Fatal(err)
	}
	endpoint, _ := serve(t, m)
	const counts = "[desiredCount,runningCount]"
	update := python(t, endpoint, aws, "ecs", "update-service", "--service", "worker", "--desired-count", "3",
		"--query", "service."+counts, "--output", "text")
	describe := python(t, endpoint, aws, "ecs", "describe-services", "--services", "worker",
		"--query", "services[0]."+counts, "--output", "text")
	for name, got := range map[string]string{"update-service": update, "describe-services": describe} {
		if strings.Join(strings.Fields(got), " ") != "3 3" {
			t.Errorf("%s: got %q, want 3 3", name, got)
		}
	}
}

func TestRefusals(t *testing.T) {
	m := ecs.New(ecs.Options{})
	defer m.Close()
	for _, name := range []string{"a", "gone"} {
		if err := m.CreateService(ecs.ServiceConfig{Name: name}); err != nil {
			t.Fatal(err)
		}
	}
	_, c := serve(t, m)
	if _, err := c.DeleteService(t.Context(), &awsecs.DeleteServiceInput{Service: aws.String("gone")}); err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	for _, row := range []struct {
		name string
		call func() error
		want string
	}{
		{"no such cluster", func() error {
			_, err := c.ListTasks(ctx, &awsecs.ListTasksInput{Cluster: aws.String("x")})
			return err
		}, "ClusterNotFoundException"},
		{"no such service", func() error {
			_, err := c.UpdateService(ctx, &awsecs.UpdateServiceInput{Service: aws.String("x")})
			return err
		}, "ServiceNotFoundException"},
		{"a deleted service", func() error {
			_, err := c.UpdateService(ctx, &awsecs.UpdateServiceInput{Service: aws.String("gone"), DesiredCount: aws.Int32(1)})
			return err
		}, "ServiceNotActiveException"},
		{"a negative count", func() error {
			_, err := c.UpdateService(ctx, &awsecs.UpdateServiceInput{Service: aws.String("a"), DesiredCount: aws.Int32(-1)})
			return err
		}, "InvalidParameterException"},
		{"eleven services", func() error {
			_, err := c.DescribeServices(ctx, &awsecs.DescribeServicesInput{Services: make([]string, 11)})
			return err
		}, "InvalidParameterException"},
		{"no such task", func() error {
			_, err := c.StopTask(ctx, &awsecs.StopTaskInput{Task: aws.String("x")})
			return err
		}, "InvalidParameterException"},
		{"an operation that is not offered", func() error {
			_, err := c.ListTaskDefinitions(ctx, &awsecs.ListTaskDefinitionsInput{})
			return err
		}, "UnknownOperationException"},
		{"a forbidden tag", func() error {
			_, err := c.TagResource(ctx, &awsecs.TagResourceInput{
				ResourceArn: aws.String("arn:aws:ecs:us-east-1:000000000000:service/default/a"),
				Tags:        []types.Tag{{Key: aws.String("aws:x"), Value: aws.String("y")}},
			})
			return err
		}, "InvalidParameterException"},
	} {
		var e smithy.APIError
		if err := row.call(); !errors.As(err, &e) || e.ErrorCode() != row.want {
			t.Errorf("%s: got %v, want %s", row.name, err, row.want)
		}
	}
}

func TestNotAnswered(t *testing.T) {
	m := ecs.New(ecs.Options{})
	defer m.Close()
	endpoint, _ := serve(t, m)
	for _, c := range []struct{ name, target, body, want string }{
		{"not JSON", "AmazonEC2ContainerServiceV20141113.ListTasks", "{", "SerializationException"},
		{"a wrong type", "AmazonEC2ContainerServiceV20141113.ListTasks", `{"cluster":1}`, "SerializationException"},
		{"another service", "AWSEvents.PutEvents", "{}", "UnknownOperationException"},
		{"too large", "AmazonEC2ContainerServiceV20141113.ListTasks", `"` + strings.Repeat("x", 1<<20), "SerializationException"},
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, endpoint, strings.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Amz-Target", c.target)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		var got struct {
			Type string `json:"__type"`
		}
		err = json.NewDecoder(resp.Body).Decode(&got)
		_ = resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusBadRequest || got.Type != c.want {
			t.Errorf("%s: got %d %q, %v, want 400 %q", c.name, resp.StatusCode, got.Type, err, c.want)
		}
	}
}

func TestRateLimit(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	m := ecs.New(ecs.Options{Throttle: true, Now: func() time.Time { return now }})
	defer m.Close()
	if err := m.CreateService(ecs.ServiceConfig{Name: "a"}); err != nil {
		t.Fatal(err)
	}
	_, c := serve(t, m)
	burst := func() (n int) {
		for range 200 {
			_, err := c.UpdateService(t.Context(), &awsecs.UpdateServiceInput{Service: aws.String("a")})
			if err != nil {
				var e smithy.APIError
				if !errors.As(err, &e) || e.ErrorCode() != "ThrottlingException" {
					t.Fatal(err)
				}
				return n
			}
			n++
		}
		return n
	}
	if n := burst(); n != 50 {
		t.Errorf("%d calls at once, and the documented burst is 50", n)
	}
	now = now.Add(2 * time.Second)
	if n := burst(); n != 10 {
		t.Errorf("%d calls after 2 s, and the documented rate is 5/s", n)
	}
	if n := m.Calls()["UpdateService"]; n != 62 {
		t.Errorf("%d calls counted, want 62", n)
	}
}

func setDesired(t *testing.T, client *awsecs.Client, service string, n int32) {
	t.Helper()
	if _, err := client.UpdateService(t.Context(), &awsecs.UpdateServiceInput{Service: &service, DesiredCount: &n}); err != nil {
		t.Fatal(err)
	}
}
