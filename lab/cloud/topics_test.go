package cloud

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/google/go-cmp/cmp"
)

func TestPublish(t *testing.T) {
	c, r := start(t, settings(t, "", "true"), Options{NoSweep: true})
	api := sns.NewFromConfig(client(c))
	topic := c.deployed().Outputs["AlarmTopic"]
	out, err := api.Publish(t.Context(), &sns.PublishInput{TopicArn: &topic, Subject: aws.String("a < b"), Message: aws.String("0 -> 3\n")})
	if err != nil || *out.MessageId == "" {
		t.Fatal(out, err)
	}
	got := r.wait(t, "the message", func(h Happening) bool { return h.Published != nil }).Published
	if diff := cmp.Diff(&Published{topic, "a < b", "0 -> 3\n"}, got); diff != "" {
		t.Error(diff)
	}
	if _, err := api.Publish(t.Context(), &sns.PublishInput{TopicArn: aws.String(topic + "x"), Message: aws.String("m")}); code(err) != "NotFound" {
		t.Errorf("a topic that is not there: %v", err)
	}
}
