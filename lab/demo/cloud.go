package main

import (
	"context"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"time"

	"sluice/internal/config"
	"sluice/lab/cloud"
	"sluice/lab/cloud/cfn"
	"sluice/lab/cloud/ecs"
)

// shopDir is where the shop is, from the root of the checkout.
const shopDir = "examples/shop"

// system is the local cloud with the shop's workers in it.
type system struct {
	cloud    *cloud.Cloud
	redisURL string
	env      []string // For the shop's API.
	cancel   func()   // Ends the subscription.
	log      *os.File // Of the functions.
}

// startCloud starts the local cloud with the shop's configuration. What happens in it is handed to the driver.
func startCloud(ctx context.Context, d *driver, python string) (*system, error) {
	path := filepath.Join(d.opts.root, shopDir, "sluice.yaml")
	var err error
	if d.config, err = config.Load(path); err != nil {
		return nil, err
	}
	// What differs from run to run is in no file: the interpreter of the demo's own packages, and this run's ledger.
	for i := range d.config.Local.Services {
		s := &d.config.Local.Services[i]
		if s.Env == nil {
			s.Env = map[string]string{}
		}
		s.Env["PATH"] = filepath.Dir(python) + string(os.PathListSeparator) + os.Getenv("PATH")
		s.Env["SHOP_LEDGER"] = d.key
	}
	deployment, err := d.fromTemplate()
	if err != nil {
		return nil, err
	}
	c := &system{}
	if c.log, err = os.Create(filepath.Join(d.opts.logs, "functions.log")); err != nil {
		return nil, fmt.Errorf("make a log: %w", err)
	}
	c.cloud, err = cloud.Start(ctx, cloud.Options{
		Deployment: deployment, Config: d.config, ConfigPath: path, Lambdas: d.opts.lambdas,
		RedisURL: d.opts.redisURL, ECS: ecs.Options{Seed: d.opts.seed},
		FunctionLog: &functionLog{file: c.log, tell: func(r record) {
			at := time.Now()
			d.hear(func() {
				if text := d.describeRecord(r); text != "" && d.act != beginning {
					d.view.tell(moment{d.since(at), onDecide, text})
				}
			})
		}},
		TaskLog: func(s ecs.Spec) io.Writer {
			name, _, _ := strings.Cut(s.Hostname, ".")
			f, err := os.Create(filepath.Join(d.opts.logs, "worker-"+name+".log"))
			if err != nil {
				return nil // A worker without a log is better than none.
			}
			return f
		},
	})
	if err != nil {
		_ = c.log.Close()
		return nil, fmt.Errorf("start the local cloud: %w", err)
	}
	if d.opts.lost {
		c.cloud.Events().Drop(math.MaxInt)
	}
	c.redisURL, c.env = c.cloud.RedisURL(), append(c.cloud.Env(), "SHOP_LEDGER="+d.key)
	c.cancel = c.cloud.Subscribe(func(h cloud.Happening) { d.hear(func() { d.witness(h) }) })
	return c, nil
}

// fromTemplate is what the template deploys, if there is one, and tells what is run of it.
func (d *driver) fromTemplate() (*cloud.Deployment, error) {
	if d.opts.template == "" {
		d.view.tell(moment{0, onDeploy, "built in: what the CDK app deploys for examples/shop/sluice.yaml, less its permissions"})
		return nil, nil
	}
	t, err := cfn.Read(d.opts.template, d.config, "")
	if err != nil {
		return nil, err
	}
	for _, line := range t.Describe() {
		d.view.tell(moment{0, onDeploy, line})
	}
	return &t.Deployment, nil
}

// hear has the driver's own goroutine do something, until the driver quits.
func (d *driver) hear(do func()) {
	select {
	case d.happened <- func() error { do(); return nil }:
	case <-d.quit:
	}
}

// count fills in how many workers there are.
func (c *system) count(s *status) {
	services, tasks := c.cloud.ECS().Snapshot()
	for _, service := range services {
		s.desired += service.Desired
	}
	for _, t := range tasks {
		switch t.Status {
		case "PROVISIONING", "PENDING":
			s.starting++
		case "RUNNING":
			s.running++
		case "STOPPING", "DEPROVISIONING":
			s.stopping++
		}
	}
}

// calls is how often each operation of ECS was called, by whomever.
func (c *system) calls() map[string]int { return c.cloud.ECS().Calls() }

// killed names the workers that ended by SIGKILL.
func (c *system) killed() []string {
	_, tasks := c.cloud.ECS().Snapshot()
	var killed []string
	for _, t := range tasks {
		if t.Exit != nil && (t.Exit.Killed || t.Exit.Code == 137) {
			killed = append(killed, t.Hostname)
		}
	}
	return killed
}

// close ends the cloud and everything in it.
func (c *system) close() {
	c.cancel()
	_ = c.cloud.Close() // It has no error to give.
	_ = c.log.Close()
}
