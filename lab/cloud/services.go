package cloud

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"

	"sluice/internal/awsname"
	"sluice/lab/cloud/ecs"
)

// startServices makes the model and its services. They start at the minimum of their target, as a deployment would leave
// them.
func (c *Cloud) startServices() error {
	o := c.opts.ECS
	d := c.deployed()
	o.Region, o.Account = d.Region, d.Account
	o.Runner = &ecs.Processes{Log: c.opts.TaskLog}
	local := c.opts.Config.Local
	c.ecs = ecs.New(o)
	c.ecs.Subscribe(c.feed.task)
	for _, s := range local.Services {
		desired := 0
		for _, t := range c.opts.Config.Targets {
			if awsname.Last(t.Cluster) == awsname.Last(s.Cluster) && awsname.Last(t.Service) == awsname.Last(s.Service) {
				desired = t.Min
			}
		}
		env, public := c.Env(), []string{}
		for _, k := range slices.Sorted(maps.Keys(s.Env)) {
			public = append(public, k+"="+s.Env[k])
		}
		dir := s.Dir
		if !filepath.IsAbs(dir) {
			dir = filepath.Join(c.opts.Config.Dir, dir)
		}
		if err := c.ecs.CreateService(ecs.ServiceConfig{
			Cluster: awsname.Last(s.Cluster), Name: awsname.Last(s.Service), Desired: desired, Command: s.Command,
			Env: append(env, public...), Public: public, Dir: dir,
			StopTimeout: s.StopTimeout.Std(), Pending: s.StartDelay.Std(),
		}); err != nil {
			return fmt.Errorf("start service %s: %w", s.Service, err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.ecs.Run(ctx)
	}()
	c.onClose(func() {
		cancel()
		<-done
		c.ecs.Close()
	})
	return nil
}
