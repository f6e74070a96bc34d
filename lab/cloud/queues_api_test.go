package cloud

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/google/go-cmp/cmp"
)

func TestQueuesAPI(t *testing.T) {
	c, _ := start(t, settings(t, "", "true"), Options{NoSweep: true})
	api := sqs.NewFromConfig(client(c))
	url := aws.String(c.deployed().Outputs["CheckDeadLetters"])
	if err := c.send(c.deployed().functionCaller(Check), "check-dead-letters", message{Body: `{"a":1}`, Attributes: map[string]string{"ErrorMessage": "x"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := api.SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: url, MessageBody: aws.String("second")}); err != nil {
		t.Fatal(err)
	}
	count := func() map[string]string {
		out, err := api.GetQueueAttributes(t.Context(), &sqs.GetQueueAttributesInput{QueueUrl: url, AttributeNames: []sqstypes.QueueAttributeName{"ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"}})
		if err != nil {
			t.Fatal(err)
		}
		return out.Attributes
	}
	want := func(visible, hidden string) {
		t.Helper()
		if diff := cmp.Diff(map[string]string{"ApproximateNumberOfMessages": visible, "ApproximateNumberOfMessagesNotVisible": hidden}, count()); diff != "" {
			t.Error(diff)
		}
	}
	want("2", "0")
	// A look leaves the messages where they are. And the URL that AWS has leads to no other place than the cloud, from Python neither.
	got := script(t, c, `
import sys, boto3
q = boto3.client("sqs")
for _ in range(2):
    messages = q.receive_message(QueueUrl=sys.argv[1], VisibilityTimeout=0, MaxNumberOfMessages=10, MessageAttributeNames=["All"])["Messages"]
    print(messages[0]["Body"], messages[0]["MessageAttributes"]["ErrorMessage"]["StringValue"], messages[1]["Body"], q.meta.endpoint_url)
`, *url)
	if line := `{"a":1} x second ` + c.Endpoint(); got != line+"\n"+line {
		t.Errorf("by boto3: %s", got)
	}
	want("2", "0")
	out, err := api.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: url})
	if err != nil || len(out.Messages) != 1 {
		t.Fatal(out, err)
	}
	want("1", "1")
	other, err := api.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: url, VisibilityTimeout: 1})
	if err != nil || len(other.Messages) != 1 || *other.Messages[0].MessageId == *out.Messages[0].MessageId {
		t.Fatal(other, err)
	}
	if _, err := api.DeleteMessage(t.Context(), &sqs.DeleteMessageInput{QueueUrl: url, ReceiptHandle: out.Messages[0].ReceiptHandle}); err != nil {
		t.Fatal(err)
	}
	if n := len(c.messages("check-dead-letters")); n != 1 {
		t.Errorf("%d messages are left", n)
	}
	if _, err := api.GetQueueAttributes(t.Context(), &sqs.GetQueueAttributesInput{QueueUrl: aws.String("https://x/y/none")}); code(err) != "QueueDoesNotExist" {
		t.Errorf("a queue that is not there: %v", err)
	}
}
