package exporter

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/prometheus/client_golang/prometheus"
)

// deadLettersEvery is how often the queues are asked for their length: about 43,000 requests a month for each, at $0.40 a million.
const deadLettersEvery = time.Minute

var deadLetterMessages = newFamily("sluice_dead_letter_messages", "Messages in a dead-letter queue of the stack's.", "queue")

// queuesAPI is the call that a look at the queues takes.
type queuesAPI interface {
	GetQueueAttributes(context.Context, *sqs.GetQueueAttributesInput, ...func(*sqs.Options)) (*sqs.GetQueueAttributesOutput, error)
}

// newDeadLetters looks at the stack's dead-letter queues.
func newDeadLetters(d *deployment, queues queuesAPI) *source {
	return &source{
		name: "dead_letters", every: deadLettersEvery, shown: []family{deadLetterMessages},
		look: func(ctx context.Context) ([]prometheus.Metric, error) {
			stack, err := d.stack(ctx)
			if err != nil {
				return nil, err
			}
			metrics := []prometheus.Metric{}
			for _, whose := range slices.Sorted(maps.Keys(stack.DeadLetters)) {
				n, err := length(ctx, queues, stack.DeadLetters[whose])
				if err != nil {
					d.forget()
					return nil, fmt.Errorf("look at the dead letters of %s: %w", whose, err)
				}
				metrics = append(metrics, deadLetterMessages.of(float64(n), whose))
			}
			return metrics, nil
		},
	}
}

// length is how many messages a queue has.
func length(ctx context.Context, queues queuesAPI, url string) (int, error) {
	const visible = types.QueueAttributeNameApproximateNumberOfMessages
	out, err := queues.GetQueueAttributes(ctx, &sqs.GetQueueAttributesInput{
		QueueUrl: &url, AttributeNames: []types.QueueAttributeName{visible},
	})
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(out.Attributes[string(visible)])
}
