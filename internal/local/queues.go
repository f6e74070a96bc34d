package local

import (
	"fmt"
	"slices"
)

// message is what a dead-letter queue holds.
type message struct {
	Body       string
	Attributes map[string]string
}

// send puts a message into a dead-letter queue, if the caller may do that.
func (c *Cloud) send(who caller, queue string, m message) error {
	d := c.deployed()
	if err := d.authorize(who, "sqs:SendMessage", nil, d.queueARN(queue)); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.queues[queue]; !ok {
		return fmt.Errorf("there is no queue %s", queue)
	}
	c.queues[queue] = append(c.queues[queue], m)
	return nil
}

// messages returns what is in a dead-letter queue.
func (c *Cloud) messages(queue string) []message {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.queues[queue])
}
