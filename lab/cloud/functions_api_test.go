package cloud

import (
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
)

// What functions print is found in their log groups.
func TestLogs(t *testing.T) {
	c, _ := start(t, settings(t, "", "true"), Options{NoSweep: true})
	if res, err := c.Functions().Invoke(t.Context(), Check, []byte(`{}`)); err != nil || res.FunctionError != "" {
		t.Fatalf("%s, %v", res.Payload, err)
	}
	api := cloudwatchlogs.NewFromConfig(client(c))
	for pattern, want := range map[string]int{`{ $.message = "decision" && $.target = "video" }`: 1, `{ $.target = "nobody" }`: 0} {
		out, err := api.FilterLogEvents(t.Context(), &cloudwatchlogs.FilterLogEventsInput{
			LogGroupName: aws.String("/aws/lambda/check"), FilterPattern: &pattern, StartTime: aws.Int64(time.Now().Add(-time.Minute).UnixMilli()),
		})
		if err != nil || len(out.Events) != want {
			t.Fatalf("%s: %v, %v", pattern, out, err)
		}
		for _, e := range out.Events {
			if age := time.Since(time.UnixMilli(*e.Timestamp)); age < 0 || age > time.Minute || !strings.Contains(*e.LogStreamName, "[$LATEST]") {
				t.Errorf("a line of %v ago in %s", age, *e.LogStreamName)
			}
		}
	}
	out, err := api.FilterLogEvents(t.Context(), &cloudwatchlogs.FilterLogEventsInput{LogGroupName: aws.String("/aws/lambda/scalein")})
	if err != nil || len(out.Events) != 0 {
		t.Errorf("a function that never ran: %v, %v", out, err)
	}
}

// A function may be deployed as one that is stopped.
func TestStoppedFunction(t *testing.T) {
	path := settings(t, "", "true")
	d := builtIn(t, path)
	d.Functions[1].Stopped = true
	c, _ := start(t, path, Options{Deployment: d, NoSweep: true})
	_, err := lambda.NewFromConfig(client(c)).Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String(Check)})
	if code(err) != "TooManyRequestsException" {
		t.Errorf("invoke: %v", err)
	}
}

func TestFunctionsAPI(t *testing.T) {
	c, _ := start(t, settings(t, "", "true"), Options{NoSweep: true})
	api := lambda.NewFromConfig(client(c))
	for _, name := range []string{"scaleout", "arn:aws:lambda:us-east-1:000000000000:function:scaleout"} {
		f, err := api.GetFunctionConfiguration(t.Context(), &lambda.GetFunctionConfigurationInput{FunctionName: &name})
		if err != nil || *f.Role != "arn:aws:iam::000000000000:role/scaleout" || f.State != "Active" || *f.Timeout != 30 || *f.MemorySize != 512 ||
			*f.FunctionArn != "arn:aws:lambda:us-east-1:000000000000:function:scaleout" || *f.LoggingConfig.LogGroup != "/aws/lambda/scaleout" ||
			*f.DeadLetterConfig.TargetArn != "arn:aws:sqs:us-east-1:000000000000:scaleout-dead-letters" {
			t.Errorf("%s: %+v, %v", name, f, err)
		}
	}
	if _, err := api.GetFunctionConfiguration(t.Context(), &lambda.GetFunctionConfigurationInput{FunctionName: aws.String("none")}); code(err) != "ResourceNotFoundException" {
		t.Errorf("a function that is not there: %v", err)
	}
	concurrency := func(name string) *int32 {
		out, err := api.GetFunctionConcurrency(t.Context(), &lambda.GetFunctionConcurrencyInput{FunctionName: &name})
		if err != nil {
			t.Fatal(err)
		}
		return out.ReservedConcurrentExecutions
	}
	if one, none := concurrency(ScaleOut), concurrency(Check); one == nil || *one != 1 || none != nil {
		t.Errorf("concurrency %v and %v", one, none)
	}
	undo, err := c.Change(func(d *Deployment) { d.Functions[1].Stopped = true })
	if err != nil {
		t.Fatal(err)
	}
	invoke := func() error {
		_, err := api.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String(Check)})
		return err
	}
	if n := concurrency(Check); n == nil || *n != 0 || code(invoke()) != "TooManyRequestsException" {
		t.Errorf("a function that is stopped: %v, %v", n, invoke())
	}
	if err := undo(); err != nil || invoke() != nil {
		t.Errorf("and one that is not: %v, %v", err, invoke())
	}
}
