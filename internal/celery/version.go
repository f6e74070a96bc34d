package celery

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"sluice/internal/policy"
)

// Celery 5.2 is the oldest that can be asked safely: from it on, active knows safe. Older workers ignore it, return whole
// arguments, and go deaf if those cannot be encoded. Nothing that an older worker answers to a safe command tells its
// version, so the first evidence counts: a heartbeat's sw_ver, or arguments in the answer to active. From then on no
// further active is sent to this broker until those workers are gone.
const oldestMajor, oldestMinor = 5, 2

// maxOld is of how many workers it is remembered that they are too old. One is enough to refuse a broker.
const maxOld = 1000

// tooOld tells whether a version, such as "5.1.2", is known to be older than 5.2.
func tooOld(version string) bool {
	major, rest, _ := strings.Cut(version, ".")
	minor, _, _ := strings.Cut(rest, ".")
	a, errA := strconv.Atoi(major)
	if end := strings.IndexFunc(minor, func(r rune) bool { return r < '0' || r > '9' }); end >= 0 {
		minor = minor[:end] // A pre-release, such as "5.2rc1".
	}
	b, errB := strconv.Atoi(minor)
	if errA != nil || errB != nil {
		return false
	}
	return a < oldestMajor || a == oldestMajor && b < oldestMinor
}

// refuseOld returns an error while a worker that is too old is still there. It asks for nothing but the queues.
func (b *Broker) refuseOld(ctx context.Context, patience time.Duration) error {
	if len(b.oldNodes()) == 0 {
		return nil
	}
	answers, err := b.ask(ctx, round{commands: []command{askQueues()}, patience: patience})
	if err != nil {
		return err
	}
	here := map[string]bool{}
	for _, r := range answers.replies {
		here[r.node] = true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if answers.counted && len(answers.replies) >= answers.listeners {
		for name := range b.tooOld {
			if !here[name] {
				delete(b.tooOld, name)
			}
		}
	}
	return b.oldError()
}

// rememberOld notes nodes whose answers showed that they are too old, and returns the error to refuse them with. Their
// heartbeats, if they send any, name the version.
func (b *Broker) rememberOld(ctx context.Context, names []string) error {
	b.mu.Lock()
	noted := false
	for _, name := range names {
		if _, known := b.tooOld[name]; !known && len(b.tooOld) < maxOld {
			b.tooOld[name] = ""
			noted = true
		}
	}
	b.mu.Unlock()
	if !noted {
		return nil
	}
	if _, err := b.beats(ctx, len(names)); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.oldError()
}

// noteVersion notes what a heartbeat said.
func (b *Broker) noteVersion(node, version string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !tooOld(version) {
		delete(b.tooOld, node)
	} else if _, known := b.tooOld[node]; known || len(b.tooOld) < maxOld {
		b.tooOld[node] = version
	}
}

func (b *Broker) oldNodes() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	names := make([]string, 0, len(b.tooOld))
	for name := range b.tooOld {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// oldError names the first of the workers that are too old; nil if there is none. b.mu is held.
func (b *Broker) oldError() error {
	if len(b.tooOld) == 0 {
		return nil
	}
	first := ""
	for name := range b.tooOld {
		if first == "" || name < first {
			first = name
		}
	}
	version := b.tooOld[first]
	if version == "" {
		version = "before 5.2"
	}
	return &policy.Error{Kind: policy.BrokerRefused, Err: fmt.Errorf(
		"look at broker: celery %s at %s: Sluice needs Celery 5.2 or newer: an older worker can be left deaf by being asked what it does", version, first)}
}
