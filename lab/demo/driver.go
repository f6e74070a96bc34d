package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/redis/go-redis/v9"

	"sluice/internal/config"
)

// An act is a part of the demo's story.
type act int

const (
	beginning  act = iota // A sweep is to pass first: it must not be faster than the first event, which shall be seen at work.
	firstWave             // The first wave is being posted.
	firstWork             // Its tasks are not all done.
	idle                  // They are; the next sweep will find the workers idle.
	secondWave            // A sweep has, and waits to see whether they stay so: the second wave is posted.
	secondWork            // Its tasks are not all done.
	letGo                 // They are; the workers are to go.
	ended
)

var waits = map[act]string{
	beginning:  "letting a sweep pass, so that it is the event that brings the workers",
	firstWave:  "posting the first wave",
	firstWork:  "waiting for the tasks of the first wave",
	idle:       "waiting for a sweep that finds the workers idle",
	secondWave: "posting the second wave, while the workers are about to be let go",
	secondWork: "waiting for the tasks of the second wave",
	letGo:      "waiting for the workers to go",
	ended:      "done",
}

// driver runs the demo. Its own goroutine alone touches its fields; others hand it functions through happened.
type driver struct {
	opts   options
	view   view
	start  time.Time
	config *config.Config
	cloud  *system
	api    *api
	shop   *shop
	redis  *redis.Client
	key    string // Of the ledger.

	act           act
	first, second wave
	passed        int // Sweeps that had ended before the story began.
	waiting       int // Messages in all queues.
	ledger        *ledger
	chronicle     *chronicle
	expected      map[string]json.RawMessage
	happened      chan func() error
	quit          chan struct{}   // Closed when nobody takes from happened any more.
	explained     map[string]bool // The reasons that the story has explained.
	repaired      int             // The repairs that it has told of.
}

// newDriver starts everything that a run needs.
func newDriver(ctx context.Context, o options, v view) (_ *driver, err error) {
	d := &driver{
		opts: o, view: v, start: time.Now(), ledger: newLedger(), chronicle: newChronicle(),
		expected: map[string]json.RawMessage{}, happened: make(chan func() error, 1000),
		quit: make(chan struct{}), explained: map[string]bool{},
		key: fmt.Sprintf("shop:ledger:%d", time.Now().UnixNano()),
	}
	if d.first, d.second = plan(o.seed); o.first != nil {
		d.first, d.second = *o.first, wave{}
	}
	defer func() {
		if err != nil {
			d.close()
		}
	}()
	python, err := findPython(o.root)
	if err != nil {
		return nil, err
	}
	if err := os.RemoveAll(o.logs); err != nil {
		return nil, fmt.Errorf("clear the logs: %w", err)
	}
	if err := os.MkdirAll(o.logs, 0o755); err != nil {
		return nil, fmt.Errorf("clear the logs: %w", err)
	}
	if d.cloud, err = startCloud(ctx, d, python); err != nil {
		return nil, err
	}
	url, err := redis.ParseURL(d.cloud.redisURL)
	if err != nil {
		return nil, fmt.Errorf("read REDIS_URL: %w", err)
	}
	url.ContextTimeoutEnabled = true
	d.redis = redis.NewClient(url)
	if err := d.empty(ctx); err != nil {
		return nil, err
	}
	log, err := os.Create(filepath.Join(o.logs, "api.log"))
	if err != nil {
		return nil, fmt.Errorf("make a log: %w", err)
	}
	if d.api, err = startAPI(ctx, python, filepath.Join(o.root, shopDir), d.cloud.env, log); err != nil {
		return nil, err
	}
	d.shop = newShop(d.api.url)
	return d, nil
}

// findPython finds the interpreter with the shop's packages: the demo's own, or that of the tests, which has them too.
func findPython(root string) (string, error) {
	for _, venv := range []string{"venv-demo", "venv"} {
		path, err := filepath.Abs(filepath.Join(root, "build", venv, "bin", "python"))
		if err != nil {
			return "", fmt.Errorf("find Python: %w", err)
		}
		if _, err := os.Stat(path); err == nil {
			return path, nil
		}
	}
	return "", errors.New("find Python: there is none in build: run `make demo`, from the root of the checkout")
}

// empty refuses a Redis whose queues hold work of somebody else: the demo's workers would take it.
func (d *driver) empty(ctx context.Context) error {
	for _, t := range d.config.Targets {
		for _, q := range t.Queues {
			n, err := d.backlog(ctx, q)
			if err != nil {
				return err
			}
			if n > 0 {
				return fmt.Errorf("use %s: its queue %s holds %d messages already; the demo needs a Redis of its own, or another database of this one", "REDIS_URL", q, n)
			}
		}
	}
	return nil
}

// backlog is how many messages a queue holds, in the lists of all its priorities.
func (d *driver) backlog(ctx context.Context, queue string) (int, error) {
	var lens []*redis.IntCmd
	_, err := d.redis.Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, step := range d.config.Brokers[0].PrioritySteps {
			key := queue
			if step > 0 {
				key = fmt.Sprintf("%s%s%d", queue, d.config.Brokers[0].Separator, step)
			}
			lens = append(lens, p.LLen(ctx, key))
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("count the messages of queue %s: %w", queue, err)
	}
	n := 0
	for _, l := range lens {
		n += int(l.Val())
	}
	return n, nil
}

// close ends everything that the driver started.
func (d *driver) close() {
	close(d.quit)
	if d.api != nil {
		d.api.stop()
	}
	if d.redis != nil {
		// A real Redis outlives the demo. Its results expire by themselves.
		_ = d.redis.Del(context.Background(), d.key).Err()
		_ = d.redis.Close()
	}
	if d.cloud != nil {
		d.cloud.close()
	}
}

func (d *driver) waitingFor() string { return waits[d.act] }

func (d *driver) since(at time.Time) time.Duration { return at.Sub(d.start) }

// tell shows a line of the story that happens now.
func (d *driver) tell(t topic, format string, args ...any) {
	d.view.tell(moment{d.since(time.Now()), t, fmt.Sprintf(format, args...)})
}
