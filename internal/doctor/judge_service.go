package doctor

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"sluice/internal/config"
	"sluice/internal/policy"
	"sluice/internal/scaler"
)

// subject names a target in findings.
func (t Target) subject() string { return "target " + t.Name }

// services calls judge for each target whose service is there; of the others another check tells.
func services(judge func(j *judgement, t Target, s Service, f *Facts)) func(*judgement, *Facts) {
	return func(j *judgement, f *Facts) {
		for _, t := range f.Targets {
			s, ok := known(j, t.subject(), t.Service)
			switch {
			case !ok:
			case !s.Exists:
				j.unchecked(t.subject(), errors.New("the service is not there"))
			default:
				judge(j, t, s, f)
			}
		}
	}
}

// launches calls judge for each target of which it can be seen how its worker is started.
func launches(judge func(j *judgement, t Target, c Container, l launch)) func(*judgement, *Facts) {
	return services(func(j *judgement, t Target, _ Service, _ *Facts) {
		d, ok := known(j, t.subject(), t.Definition)
		if !ok {
			return
		}
		c, l, err := d.worker()
		if err != nil {
			j.unchecked(t.subject(), err)
			return
		}
		judge(j, t, c, l)
	})
}

func serviceMissing(j *judgement, f *Facts) {
	for _, t := range f.Targets {
		s, ok := known(j, t.subject(), t.Service)
		switch {
		case !ok:
		case !s.Exists:
			j.find(t.subject(), "there is no service %s in cluster %s: %s", t.Target.Service, t.Cluster, s.Missing)
		case s.Status != "ACTIVE":
			j.find(t.subject(), "service %s is %s: it is being deleted, or has been", t.Target.Service, s.Status)
		}
	}
}

func rolloutFailing(j *judgement, t Target, s Service, _ *Facts) {
	switch {
	case s.Rollout.State == "FAILED":
		j.find(t.subject(), "the last deployment of service %s has failed: %s", t.Target.Service, s.Rollout.Reason)
	case s.Rollout.Failed > 0 && s.Running < s.Desired:
		what := fmt.Sprintf("%d of %s running, and %d failed since the last deployment", s.Running, count(s.Desired, "task"), s.Rollout.Failed)
		if s.Rollout.Event != "" {
			what += "; ECS says: " + s.Rollout.Event
		}
		j.find(t.subject(), "%s", what)
	}
}

func secondScaler(j *judgement, t Target, _ Service, _ *Facts) {
	scalers, ok := known(j, t.subject(), t.Scalers)
	for _, what := range scalers {
		if ok {
			j.find(t.subject(), "%s", what)
		}
	}
}

func desiredInTemplate(j *judgement, t Target, s Service, _ *Facts) {
	template, ok := known(j, t.subject(), t.Template)
	if ok && template.DesiredCount != "" {
		j.find(t.subject(), "the template of stack %s says DesiredCount: %s of %s; now it is %d",
			template.Stack, template.DesiredCount, template.Resource, s.Desired)
	}
}

// stopTimeout is Fargate's longest, in seconds; 30 is what holds without one.
const (
	stopTimeout        = 120
	defaultStopTimeout = 30
)

func stopTimeoutShort(j *judgement, t Target, c Container, _ launch) {
	switch {
	case c.StopTimeout == nil:
		j.find(t.subject(), "container %s has no stopTimeout, so that %d s hold", c.Name, defaultStopTimeout)
	case *c.StopTimeout < stopTimeout:
		j.find(t.subject(), "container %s has stopTimeout %d s", c.Name, *c.StopTimeout)
	}
}

func shellInFront(j *judgement, t Target, c Container, l launch) {
	switch {
	case l.Shell != "":
		j.find(t.subject(), "container %s starts Celery by `%s` without exec", c.Name, l.Shell)
	case l.Opaque != "":
		j.unchecked(t.subject(), fmt.Errorf("container %s starts Celery by %s: whether that ends with exec cannot be seen", c.Name, l.Opaque))
	}
}

func groupSignal(j *judgement, t Target, c Container, l launch) {
	// In the other pools there is no process but Celery's own.
	if pool, ok := l.option("-P", "--pool"); l.Group != "" && (!ok || pool == "prefork" || pool == "processes") {
		j.find(t.subject(), "container %s starts Celery by %s, which signals all processes of its session", c.Name, l.Group)
	}
}

func beatInWorker(j *judgement, t Target, c Container, l launch) {
	if l.flag("-B", "--beat") {
		j.find(t.subject(), "container %s runs Celery beat within the worker (-B)", c.Name)
	}
}

func queuesUnlikeCommand(j *judgement, t Target, c Container, l launch) {
	text, ok := l.option("-Q", "--queues")
	if !ok {
		return // The application says which: only the workers can tell.
	}
	consumed := strings.Split(text, ",")
	var missing []string
	for _, q := range t.Queues {
		if !slices.Contains(consumed, q) {
			missing = append(missing, q)
		}
	}
	if len(missing) > 0 {
		j.find(t.subject(), "its workers are started with -Q %s, without %s", text, strings.Join(missing, ", "))
	}
}

func nodeNameFixed(j *judgement, t Target, c Container, l launch) {
	name, ok := l.option("-n", "--hostname")
	if _, host, _ := strings.Cut(name, "@"); ok && strings.Contains(name, "@") && !strings.ContainsAny(host, "%{$") {
		j.find(t.subject(), "its workers are all started under the name %s", name)
	}
}

func concurrencyUnlike(j *judgement, t Target, c Container, l launch) {
	started, ok := l.concurrency()
	switch {
	case !ok:
	case t.Concurrency > 0 && t.Concurrency != started:
		j.find(t.subject(), "concurrency is %d in sluice.yaml, and the workers are started with %d", t.Concurrency, started)
	case t.MessagesPerWorker < started:
		j.find(t.subject(), "messages_per_worker is %d, and a worker executes %d at a time", t.MessagesPerWorker, started)
	}
}

// concurrency is how many tasks a worker executes at a time, where its command line says so. Of --autoscale the first number is the most.
func (l launch) concurrency() (n int, ok bool) {
	for _, names := range [][2]string{{"-c", "--concurrency"}, {"", "--autoscale"}} {
		text, given := l.option(names[0], names[1])
		if _, err := fmt.Sscanf(text, "%d", &n); given && err == nil {
			return n, true
		}
	}
	return 0, false
}

func poolSolo(j *judgement, t Target, c Container, l launch) {
	if pool, _ := l.option("-P", "--pool"); pool == "solo" && t.Activity.Source == config.ActivityInspect {
		j.find(t.subject(), "its workers are started with --pool solo")
	}
}

func noHeartbeats(j *judgement, t Target, c Container, l launch) {
	if l.flag("--without-heartbeat") {
		j.find(t.subject(), "its workers are started with --without-heartbeat")
	}
}

func brokerUnlike(j *judgement, f *Facts) {
	launches(func(j *judgement, t Target, c Container, l launch) {
		b := f.broker(t.Broker)
		if b == nil {
			return
		}
		url, ok := l.option("-b", "--broker")
		where := "its command line"
		for _, name := range []string{"CELERY_BROKER_URL", "CELERY_BROKER"} {
			if v := c.Env[name]; !ok && v != "" {
				url, where, ok = v, "its "+name, true
			}
		}
		if !ok {
			return // In the application, or a secret: only the workers can tell.
		}
		// The settings beside the URL are Sluice's own, and play no part in where it leads.
		theirs, err := b.Broker.Endpoint(url)
		if err != nil {
			j.unchecked(t.subject(), fmt.Errorf("%s: %w", where, err))
			return
		}
		ours, ok := known(j, t.subject(), b.Endpoint)
		if ok && (theirs.Addr() != ours.Addr() || theirs.DB != ours.DB) {
			j.find(t.subject(), "%s leads to %s database %d, and broker %s to %s database %d",
				where, theirs.Addr(), theirs.DB, b.Name, ours.Addr(), ours.DB)
		}
	})(j, f)
}

// limits are what the configuration alone allows.
func (t Target) limits() policy.Limits {
	return policy.Limits{Min: t.Min, Max: t.Max, MessagesPerWorker: t.MessagesPerWorker}
}

func tagUnclear(j *judgement, t Target, s Service, f *Facts) {
	for _, text := range scaler.ParseTags(s.Tags, t.limits(), f.At).Bad {
		j.find(t.subject(), "%s", text)
	}
}

// switches are the tags by which people stop Sluice, and what each does.
var switches = []struct{ tag, does string }{
	{scaler.TagPaused, "stops all scaling"},
	{scaler.TagPausedIn, "stops all scale-in"},
	{scaler.TagPausedOut, "stops all scale-out"},
	{scaler.TagDryRun, "has every decision recorded and none carried out"},
}

func tagWithoutEnd(j *judgement, t Target, s Service, _ *Facts) {
	for _, tag := range switches {
		if v, ok := s.Tags[tag.tag]; ok && !strings.Contains(v, "@") && v != "false" {
			j.find(t.subject(), "the tag %s = %s %s, and has no end", tag.tag, v, tag.does)
		}
	}
}

func minIdle(j *judgement, f *Facts) {
	for _, t := range f.Targets {
		if t.Min == 0 {
			continue
		}
		worked, ok := known(j, t.subject(), f.Worked)
		if had, seen := worked[t.Name]; ok && seen && !had {
			j.find(t.subject(), "min keeps %d running, and the decision log shows no work for %v", t.Min, f.IdleFor)
		}
	}
}

// broker is the broker of that name; nil if it was not looked at.
func (f *Facts) broker(name string) *Broker {
	for i := range f.Brokers {
		if f.Brokers[i].Name == name {
			return &f.Brokers[i]
		}
	}
	return nil
}
