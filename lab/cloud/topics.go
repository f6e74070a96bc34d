package cloud

import (
	"slices"

	"sluice/lab/cloud/wire"
)

// Published is a message to an SNS topic. Nobody subscribes to it here but those who read the feed.
type Published struct{ Topic, Subject, Message string }

// publish answers sns:Publish.
func (c *Cloud) publish(in struct{ TopicArn, Subject, Message string }) (map[string]any, error) {
	switch {
	case !slices.Contains(c.deployed().Topics, in.TopicArn):
		return nil, &wire.Error{Code: "NotFound", Message: "Topic does not exist", Status: 404}
	case in.Message == "" || len(in.Message) > 256<<10:
		return nil, wire.Errorf("InvalidParameter", "Invalid parameter: Message: 1 byte to 256 KB")
	case len([]rune(in.Subject)) > 100:
		return nil, wire.Errorf("InvalidParameter", "Invalid parameter: Subject: longer than 100 characters")
	}
	c.feed.published(Published{in.TopicArn, in.Subject, in.Message})
	return map[string]any{"MessageId": wire.RandomID()}, nil
}
