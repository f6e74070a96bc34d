package config

import (
	"cmp"
	"crypto/x509"
	"slices"
	"strings"
	"time"

	"sluice/internal/awsname"
)

// validate checks the values against each other. Each value by itself has been checked already; where that found a problem,
// what would only follow from it is left out.
func (d *decoder) validate(c *Config) {
	d.validateBrokers(c.Brokers)
	used := d.validateTargets(c)
	for i, b := range c.Brokers {
		// Where a target's broker is in doubt, it may have meant this one.
		if !used[b.Name] && b.Name != "" && !d.faulty("targets") {
			d.problemAt(brokerPath(i), "name it in a target, or remove it", "no target uses broker %q", b.Name)
		}
	}
	d.validateLocal(&c.Local)
	d.validateDeploy(c)
	if strings.HasPrefix(c.Events.Source, "aws.") {
		d.problemAt(at("events", "source"), "use a name of your own", "begins with aws., which EventBridge keeps for AWS")
	}
	d.wholeMinutes(at("sweep", "every"), c.Sweep.Every, "5m")
}

// wholeMinutes refuses what EventBridge Scheduler cannot be told.
func (d *decoder) wholeMinutes(p *path, every Duration, example string) {
	if every.Std()%time.Minute != 0 {
		d.problemAt(p, "use whole minutes, such as "+example, "%s is no whole number of minutes", every)
	}
}

func at(names ...string) (p *path) {
	for _, n := range names {
		p = p.field(n)
	}
	return p
}

func brokerPath(i int) *path { return at("brokers").entry(i) }

func targetPath(i int) *path { return at("targets").entry(i) }

// problemAt reports a problem at a path, at its line or the nearest one above it.
func (d *decoder) problemAt(p *path, remedy, format string, args ...any) {
	n, _ := find(d.root, p)
	d.problemf(n, p, remedy, format, args...)
}

// faulty says whether a problem has been found at one of the fields of the path, or within.
func (d *decoder) faulty(p string, fields ...string) bool {
	return slices.ContainsFunc(d.bad, func(bad string) bool {
		if len(fields) == 0 {
			return within(bad, p)
		}
		return slices.ContainsFunc(fields, func(f string) bool { return within(bad, p+"."+f) })
	})
}

func (d *decoder) validateBrokers(brokers []Broker) {
	names := make(map[string]int)
	for i := range brokers {
		b := &brokers[i]
		p := brokerPath(i)
		if b.Name != "" {
			if first, ok := names[b.Name]; ok {
				d.problemAt(p.field("name"), "give each broker a name of its own", "brokers[%d] is called %q as well", first, b.Name)
			} else {
				names[b.Name] = i
			}
		}
		urls := b.urls()
		switch {
		case d.faulty(p.String(), "url", "url_env", "url_secret", "url_parameter"):
		case len(urls) == 0:
			d.problemAt(p, "give one of url, url_env, url_secret and url_parameter", "nothing says where the broker is")
		case len(urls) > 1:
			d.problemAt(p.field(urls[1]), "keep one of them", "%s are given together", strings.Join(urls, " and "))
		}
		for j, step := range b.PrioritySteps {
			at := p.field("priority_steps").entry(j)
			switch {
			case d.faulty(at.String()):
			case step < 0 || step > 255:
				d.problemAt(at, "use 0 to 255", "%d is out of bounds", step)
			case j == 0 && step != 0:
				d.problemAt(at, "begin with 0", "is not 0, the priority of messages that have none")
			case j > 0 && step <= b.PrioritySteps[j-1]:
				d.problemAt(at, "list each step once, in ascending order", "%d does not ascend", step)
			}
		}
		d.validateTLS(p, b)
	}
}

func (d *decoder) validateTLS(p *path, b *Broker) {
	if t := b.TLS; t != nil {
		switch {
		case t.CAFile != "" && t.CAPEM != "":
			d.problemAt(p.field("tls").field("ca_pem"), "keep one of them", "ca_file and ca_pem are given together")
		case t.InsecureSkipVerify && (t.CAFile != "" || t.CAPEM != "" || t.ServerName != ""):
			d.problemAt(p.field("tls").field("insecure_skip_verify"), "remove it, so that the broker is verified",
				"what is given to verify the broker would not be used")
		case t.CAPEM != "" && !x509.NewCertPool().AppendCertsFromPEM([]byte(t.CAPEM)):
			d.problemAt(p.field("tls").field("ca_pem"), "copy the whole PEM file below `ca_pem: |`", "holds no valid certificate")
		}
	}
	if b.ClusterMode && !hashTagged(b.KeyPrefix) && !d.faulty(p.String(), "key_prefix") {
		d.problemAt(p.field("cluster_mode"), "set Celery's global_keyprefix to such as '{celery}:', and key_prefix to the same",
			"Celery's workers die of CROSSSLOT in cluster mode unless a hash tag keeps all keys together")
	}
	if b.URL == "" || d.faulty(p.String(), "tls", "url") {
		return
	}
	if _, err := b.Endpoint(b.URL.Reveal()); err != nil {
		var u *URLError
		if u = asURLError(err); u != nil {
			d.problemAt(p.field(cmp.Or(u.field, "url")), u.Remedy, "%s", u.Message)
		}
	}
}

// hashTagged says whether the keys' prefix alone decides the slot: it holds {...} with something in between.
// See https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/#hash-tags.
func hashTagged(prefix string) bool {
	_, rest, ok := strings.Cut(prefix, "{")
	tag, _, closed := strings.Cut(rest, "}")
	return ok && closed && tag != ""
}

// validateTargets returns the brokers that targets use, and gives targets the only broker where they name none.
func (d *decoder) validateTargets(c *Config) (used map[string]bool) {
	used = make(map[string]bool)
	known := make([]string, 0, len(c.Brokers))
	for _, b := range c.Brokers {
		if !slices.Contains(known, b.Name) {
			known = append(known, b.Name)
		}
	}
	names := make(map[string]int, len(c.Targets))
	services := make(map[[2]string]int, len(c.Targets))
	queues := make(map[[2]string]int, len(c.Targets))
	for i := range c.Targets {
		t, p := &c.Targets[i], targetPath(i)
		if first, ok := names[t.Name]; ok && t.Name != "" {
			d.problemAt(p.field("name"), "give each target a name of its own", "targets[%d] is called %q as well", first, t.Name)
		} else {
			names[t.Name] = i
		}
		d.validateService(t, p, i, services)
		switch {
		case t.Broker == "" && len(c.Brokers) == 1:
			t.Broker = c.Brokers[0].Name
		case t.Broker == "":
			if len(c.Brokers) > 1 && !d.faulty(p.String(), "broker") {
				d.problemAt(p.field("broker"), "name one of "+strings.Join(known, ", "), "is missing, and there is more than one broker")
			}
		case !slices.Contains(known, t.Broker):
			if !d.faulty("brokers") {
				d.problemAt(p.field("broker"), didYouMean(t.Broker, known), "no broker is called %q", t.Broker)
			}
		}
		used[t.Broker] = true
		d.validateQueues(t, p, i, queues)
		d.validateNumbers(t, p)
		d.validateWindows(t, p)
		t.size()
	}
	return used
}

func (d *decoder) validateService(t *Target, p *path, i int, services map[[2]string]int) {
	if t.Cluster == "" || t.Service == "" {
		return
	}
	cluster, service := awsname.Last(t.Cluster), awsname.Last(t.Service)
	if parts := strings.Split(t.Service, "/"); len(parts) == 3 && parts[1] != cluster {
		d.problemAt(p.field("service"), "correct one of them", "is an ARN in cluster %s, but cluster is %s", parts[1], cluster)
	}
	key := [2]string{cluster, service}
	if first, ok := services[key]; ok {
		d.problemAt(p.field("service"), "keep one target for it, with the queues of both",
			"targets[%d] has service %s of cluster %s as well", first, service, cluster)
		return
	}
	services[key] = i
}

func (d *decoder) validateQueues(t *Target, p *path, i int, queues map[[2]string]int) {
	for j, q := range t.Queues {
		if q == "" {
			continue // It has its problem already.
		}
		key := [2]string{t.Broker, q}
		first, ok := queues[key]
		at := p.field("queues").entry(j)
		switch {
		case !ok:
			queues[key] = i
		case first == i:
			d.problemAt(at, "remove one of them", "queue %s is listed twice", quote(q))
		default:
			d.problemAt(at, "give the queue to one target only",
				"targets[%d] drains queue %s of the same broker as well, so each message would be work for both", first, quote(q))
		}
	}
}

// validateNumbers checks what makes no sense together though each number is within its bounds.
func (d *decoder) validateNumbers(t *Target, p *path) {
	if t.Min > t.Max && !d.faulty(p.String(), "min", "max") {
		d.problemAt(p.field("min"), "lower min or raise max", "min %d is more than max %d", t.Min, t.Max)
	}
	if t.sized() && !d.faulty(p.String(), "max_wait", "task_seconds", "concurrency") {
		d.validateSize(t, p)
	}
	if d.faulty(p.String(), "activity") {
		return
	}
	switch a := t.Activity; {
	case a.Source == ActivityCounter && a.Key == "":
		d.problemAt(p.field("activity").field("key"), "name the key, such as celery:active_tasks", "is missing, and the source is counter")
	case a.Source != ActivityCounter && a.Key != "":
		d.problemAt(p.field("activity").field("key"), "remove it, or use source: counter", "is given, but the source is %s", a.Source)
	}
	if t.Shield && t.Activity.Source != ActivityInspect {
		d.problemAt(p.field("shield"), "remove it, or use source: inspect", "is on, but the source is %s: only workers that are asked tell how long they work", t.Activity.Source)
	}
}

func (d *decoder) validateSize(t *Target, p *path) {
	complete := true
	for _, f := range []struct {
		name  string
		given bool
	}{{"max_wait", t.MaxWait > 0}, {"task_seconds", t.TaskSeconds > 0}, {"concurrency", t.Concurrency > 0}} {
		if !f.given {
			complete = false
			d.problemAt(p.field(f.name), "give all of max_wait, task_seconds and concurrency, or messages_per_worker alone", "is missing")
		}
	}
	if !complete {
		return
	}
	if n := float64(t.Concurrency) * t.MaxWait.Std().Seconds() / t.TaskSeconds; n > maxMessagesPerWorker {
		d.problemAt(p.field("max_wait"), "lower it or concurrency, or correct task_seconds",
			"gives %.0f messages per worker, more than %d", n, maxMessagesPerWorker)
		return
	}
	if n := t.derived(); t.MessagesPerWorker > 0 && t.MessagesPerWorker != n {
		d.problemAt(p.field("messages_per_worker"), "keep either it, or max_wait, task_seconds and concurrency",
			"is %d, but max_wait, task_seconds and concurrency give %d", t.MessagesPerWorker, n)
	}
}

func (d *decoder) validateLocal(l *Local) {
	seen := make(map[[2]string]int, len(l.Services))
	for i, s := range l.Services {
		if s.Cluster == "" || s.Service == "" {
			continue
		}
		key := [2]string{awsname.Last(s.Cluster), awsname.Last(s.Service)}
		if first, ok := seen[key]; ok {
			d.problemAt(at("local", "services").entry(i).field("service"), "keep one of them",
				"local.services[%d] is service %s of cluster %s as well", first, key[1], key[0])
			continue
		}
		seen[key] = i
	}
	for i, s := range l.Services {
		if len(s.Command) > 0 && s.Command[0] == "" && !d.faulty(at("local", "services").entry(i).field("command").String()) {
			d.problemAt(at("local", "services").entry(i).field("command").entry(0), "name the program", "is empty")
		}
	}
}
