package cloud

import (
	"fmt"
	"time"

	"sluice/lab/cloud/wire"
)

// message is what a dead-letter queue holds.
type message struct {
	Body       string
	Attributes map[string]string
}

// queued is a message in a queue.
type queued struct {
	message
	id       string
	sent     time.Time
	hidden   time.Time // Until then nobody else receives it.
	received int       // How often.
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
	c.enqueue(queue, m)
	return nil
}

// enqueue puts a message into a queue, and returns its id. The caller holds the lock.
func (c *Cloud) enqueue(queue string, m message) string {
	q := &queued{message: m, id: wire.RandomID(), sent: time.Now()}
	c.queues[queue] = append(c.queues[queue], q)
	return q.id
}

// messages returns what is in a dead-letter queue.
func (c *Cloud) messages(queue string) []message {
	c.mu.Lock()
	defer c.mu.Unlock()
	list := make([]message, len(c.queues[queue]))
	for i, m := range c.queues[queue] {
		list[i] = m.message
	}
	return list
}
