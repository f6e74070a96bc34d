package cloud

import (
	"fmt"
	"time"

	"github.com/alicebob/miniredis/v2"
)

// redisServer is the embedded Redis: miniredis, good enough for Celery's broker and result backend.
type redisServer struct {
	server *miniredis.Miniredis
	stop   chan struct{}
	done   chan struct{}
}

func startRedis() (*redisServer, error) {
	server := miniredis.NewMiniRedis()
	if err := server.StartAddr("127.0.0.1:0"); err != nil {
		return nil, fmt.Errorf("start the embedded Redis: %w", err)
	}
	r := &redisServer{server: server, stop: make(chan struct{}), done: make(chan struct{})}
	go r.age()
	return r, nil
}

// age makes keys expire: miniredis has no clock of its own.
func (r *redisServer) age() {
	defer close(r.done)
	const step = 100 * time.Millisecond
	tick := time.NewTicker(step)
	defer tick.Stop()
	last := time.Now()
	for {
		select {
		case <-r.stop:
			return
		case now := <-tick.C:
			r.server.FastForward(now.Sub(last))
			last = now
		}
	}
}

func (r *redisServer) url() string { return "redis://" + r.server.Addr() + "/0" }

func (r *redisServer) close() {
	close(r.stop)
	<-r.done
	r.server.Close()
}
