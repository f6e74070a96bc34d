package cloud

import (
	"crypto/md5" // What SQS has clients check bodies with.
	"encoding/hex"
	"maps"
	"slices"
	"strconv"
	"time"

	"sluice/internal/awsname"
	"sluice/lab/cloud/wire"
)

// queueNamed finds a queue by its URL. The caller holds the lock.
func (c *Cloud) queueNamed(url string) (string, error) {
	name := awsname.Last(url)
	if _, ok := c.queues[name]; !ok {
		return "", wire.Errorf("QueueDoesNotExist", "The specified queue does not exist.")
	}
	return name, nil
}

// getQueueURL answers sqs:GetQueueUrl.
func (c *Cloud) getQueueURL(in struct{ QueueName, QueueOwnerAWSAccountID string }) (map[string]any, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	name, err := c.queueNamed(in.QueueName)
	if err != nil {
		return nil, err
	}
	return map[string]any{"QueueUrl": c.deployment.QueueURL(name)}, nil
}

// getQueueAttributes answers sqs:GetQueueAttributes with the numbers of messages.
func (c *Cloud) getQueueAttributes(in struct {
	QueueURL       string
	AttributeNames []string
},
) (map[string]any, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	name, err := c.queueNamed(in.QueueURL)
	if err != nil {
		return nil, err
	}
	hidden := 0
	for _, m := range c.queues[name] {
		if m.hidden.After(time.Now()) {
			hidden++
		}
	}
	all := map[string]string{
		"ApproximateNumberOfMessages":           strconv.Itoa(len(c.queues[name]) - hidden),
		"ApproximateNumberOfMessagesNotVisible": strconv.Itoa(hidden),
		"ApproximateNumberOfMessagesDelayed":    "0",
		"QueueArn":                              c.deployment.queueARN(name),
	}
	wanted := in.AttributeNames
	if slices.Contains(wanted, "All") {
		wanted = slices.Collect(maps.Keys(all))
	}
	attributes := map[string]any{}
	for _, a := range wanted {
		value, ok := all[a]
		if !ok {
			return nil, wire.Errorf("InvalidAttributeName", "the local cloud does not know the attribute %s", a)
		}
		attributes[a] = value
	}
	return map[string]any{"Attributes": attributes}, nil
}

// receiveMessage answers sqs:ReceiveMessage. It does not wait for messages to come.
func (c *Cloud) receiveMessage(in struct {
	QueueURL                    string
	MaxNumberOfMessages         *int
	VisibilityTimeout           *int
	WaitTimeSeconds             int
	AttributeNames              []string
	MessageAttributeNames       []string
	MessageSystemAttributeNames []string
},
) (map[string]any, error) {
	limit, seconds := 1, 30
	if in.MaxNumberOfMessages != nil {
		limit = *in.MaxNumberOfMessages
	}
	if in.VisibilityTimeout != nil {
		seconds = *in.VisibilityTimeout
	}
	if limit < 1 || limit > 10 || seconds < 0 || seconds > 43200 {
		return nil, wire.Errorf("InvalidParameterValue", "MaxNumberOfMessages is 1 to 10, VisibilityTimeout 0 to 43200")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	name, err := c.queueNamed(in.QueueURL)
	if err != nil {
		return nil, err
	}
	now, list := time.Now(), []any{}
	for _, m := range c.queues[name] {
		if len(list) == limit {
			break
		}
		if m.hidden.After(now) {
			continue
		}
		m.hidden = now.Add(time.Duration(seconds) * time.Second)
		m.received++
		list = append(list, m.describe(in.MessageAttributeNames, append(in.AttributeNames, in.MessageSystemAttributeNames...)))
	}
	return map[string]any{"Messages": list}, nil
}

// describe is a message as it is received, with the attributes that are asked for.
func (m *queued) describe(attributes, system []string) map[string]any {
	sum := md5.Sum([]byte(m.Body))
	out := map[string]any{"MessageId": m.id, "ReceiptHandle": m.id, "Body": m.Body, "MD5OfBody": hex.EncodeToString(sum[:])}
	asked := func(names []string, name string) bool {
		return slices.Contains(names, "All") || slices.Contains(names, name)
	}
	own := map[string]any{}
	for name, value := range m.Attributes {
		if asked(attributes, name) {
			own[name] = map[string]any{"DataType": "String", "StringValue": value}
		}
	}
	if len(own) > 0 {
		out["MessageAttributes"] = own
	}
	theirs := map[string]any{}
	for name, value := range map[string]string{
		"SentTimestamp": strconv.FormatInt(m.sent.UnixMilli(), 10), "ApproximateReceiveCount": strconv.Itoa(m.received),
	} {
		if asked(system, name) {
			theirs[name] = value
		}
	}
	if len(theirs) > 0 {
		out["Attributes"] = theirs
	}
	return out
}

// deleteMessage answers sqs:DeleteMessage.
func (c *Cloud) deleteMessage(in struct{ QueueURL, ReceiptHandle string }) (map[string]any, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	name, err := c.queueNamed(in.QueueURL)
	if err != nil {
		return nil, err
	}
	c.queues[name] = slices.DeleteFunc(c.queues[name], func(m *queued) bool { return m.id == in.ReceiptHandle })
	return map[string]any{}, nil
}

// sendMessage answers sqs:SendMessage.
func (c *Cloud) sendMessage(in struct {
	QueueURL, MessageBody string
	MessageAttributes     map[string]struct{ DataType, StringValue string }
},
) (map[string]any, error) {
	m := message{Body: in.MessageBody, Attributes: map[string]string{}}
	for name, a := range in.MessageAttributes {
		if a.DataType != "String" {
			return nil, wire.Errorf("InvalidParameterValue", "attribute %s: the local cloud knows the data type String only", name)
		}
		m.Attributes[name] = a.StringValue
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	name, err := c.queueNamed(in.QueueURL)
	if err != nil {
		return nil, err
	}
	sum := md5.Sum([]byte(m.Body))
	return map[string]any{"MessageId": c.enqueue(name, m), "MD5OfMessageBody": hex.EncodeToString(sum[:])}, nil
}
