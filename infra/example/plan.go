package example

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"sluice/internal/config"
)

// defaultConcurrency is how many tasks a worker executes at a time if the target does not say. Celery would take the number of
// processors that it sees, which is not the quarter of one that the ECS task may use.
const defaultConcurrency = 2

// plan is what the example is made from: the first target and its broker, in the words of what is made of them. It holds no
// construct, so that all that is wrong with a file is known before the first one is made.
type plan struct {
	cluster, service string
	worker           []string // The worker's command.
	image            image
	redis            string // What of Redis is made: one of config.ExampleValkey, ExampleRedis and ExampleExternal.

	// The secret with the broker's URL: its name (or, where it exists already, perhaps its ARN), and the field if it is JSON.
	secret, field string
	keys          []string // The ARNs of the KMS keys that such a secret may be encrypted with.

	api        bool
	bus        string // The event bus that the API puts its events on: its name or ARN.
	source     string
	detailType string

	logRetention int // In days.
}

// newPlan reads the plan from a configuration with a section deploy.example. The error names all that is wrong.
func newPlan(c *config.Config) (*plan, error) {
	e, t := c.Deploy.Example, c.Targets[0]
	b, _ := c.Broker(t.Broker) // Validation has seen to it that there is one.
	p := &plan{
		cluster: t.Cluster, service: t.Service, worker: workerCommand(t),
		redis: e.Redis, api: e.API,
		bus: c.Events.Bus, source: c.Events.Source, detailType: c.Events.DetailType,
		logRetention: c.Deploy.LogRetention,
	}
	p.secret, p.field, _ = strings.Cut(b.URLSecret, "#")

	if !p.makesRedis() {
		p.keys = c.Deploy.Keys
	}

	var wrong []error
	refuse := func(format string, args ...any) { wrong = append(wrong, fmt.Errorf(format, args...)) }
	var err error
	if p.image, err = parseImage(e.Image); err != nil {
		refuse("deploy.example.image: %w", err)
	}
	if isARN(t.Cluster) {
		refuse("target %s: cluster: is an ARN: give a name, since the example makes the cluster", t.Name)
	}
	if isARN(t.Service) {
		refuse("target %s: service: is an ARN: give a name, since the example makes the service", t.Name)
	}
	for _, q := range t.Queues {
		if strings.Contains(q, ",") {
			refuse("target %s: queues: %q has a comma, which separates names for Celery: rename the queue, or make the service yourself", t.Name, q)
		}
	}
	if p.secret == "" {
		refuse("broker %s: url_secret: is missing: name the secret from which the example's workers and Sluice take the URL", b.Name)
	}
	if p.makesRedis() {
		if isARN(p.secret) {
			refuse("broker %s: url_secret: is an ARN: give a name, since the example makes the secret, "+
				"or write `redis: external` below deploy.example if it exists", b.Name)
		}
		if b.ClusterMode {
			refuse("broker %s: cluster_mode: the Redis that the example makes is not in cluster mode: remove it", b.Name)
		}
	}
	return p, errors.Join(wrong...)
}

// makesRedis says whether the Redis, and so the secret with its URL, is part of the example.
func (p *plan) makesRedis() bool { return p.redis != config.ExampleExternal }

// workerCommand is the command of a worker. It is in exec form, so that Celery is the container's first process and gets the
// SIGTERM. %h keeps the host's name in the worker's, which tells Sluice the ECS task that a worker runs in.
func workerCommand(t config.Target) []string {
	concurrency := defaultConcurrency
	if t.Concurrency > 0 {
		concurrency = t.Concurrency
	}
	return []string{
		"celery", "--app", "tasks", "worker", "--hostname", "celery@%h", "--concurrency", strconv.Itoa(concurrency),
		"--queues", strings.Join(t.Queues, ","), "--loglevel", "INFO",
	}
}

func isARN(s string) bool { return strings.HasPrefix(s, "arn:") }

// completeARN is a secret's ARN with the hyphen and six characters that Secrets Manager adds to the name.
var completeARN = regexp.MustCompile(`^arn:.*-[A-Za-z0-9]{6}$`)

// image is a container image in Amazon ECR.
type image struct {
	repositoryARN string // Empty for a repository in the stack's own account and Region.
	repository    string
	reference     string // A tag, or a digest that begins with "sha256:".
}

var (
	ecrHost = regexp.MustCompile(`^([0-9]{12})\.dkr\.ecr\.([a-z0-9-]+)\.amazonaws\.com(\.cn)?$`)
	// As the API reference of ECR has them: RepositoryName in CreateRepository, ImageIdentifier.
	ecrRepository = regexp.MustCompile(`^(?:[a-z0-9]+(?:[._-][a-z0-9]+)*/)*[a-z0-9]+(?:[._-][a-z0-9]+)*$`)
	ecrReference  = regexp.MustCompile(`^(?:[A-Za-z0-9_][A-Za-z0-9._-]{0,127}|sha256:[0-9a-f]{64})$`)
)

// parseImage reads `repository:tag`, `repository@sha256:...`, or either behind an ECR registry's host.
func parseImage(s string) (image, error) {
	name, reference, digest := strings.Cut(s, "@")
	if !digest {
		name, reference, _ = strings.Cut(s, ":") // ECR's host has no port.
	}
	var m image
	// As Docker reads it: what stands before the first slash is a host if it has a dot.
	if host, rest, found := strings.Cut(name, "/"); found && strings.Contains(host, ".") {
		parts := ecrHost.FindStringSubmatch(host)
		if parts == nil {
			return image{}, fmt.Errorf("%q is not in Amazon ECR: push it there, or have a pull-through cache of ECR fetch it", s)
		}
		name = rest
		m.repositoryARN = fmt.Sprintf("arn:%s:ecr:%s:%s:repository/%s", partition(parts[2]), parts[2], parts[1], rest)
	}
	m.repository, m.reference = name, reference
	if !ecrRepository.MatchString(m.repository) || !ecrReference.MatchString(m.reference) {
		return image{}, fmt.Errorf("%q is no image: use repository:tag or repository@sha256:..., with the registry's host before it "+
			"where that is not in the stack's account and Region", s)
	}
	return m, nil
}

// partition is the part of AWS that a Region belongs to, as ARNs name it.
func partition(region string) string {
	switch {
	case strings.HasPrefix(region, "cn-"):
		return "aws-cn"
	case strings.HasPrefix(region, "us-gov-"):
		return "aws-us-gov"
	default:
		return "aws"
	}
}
