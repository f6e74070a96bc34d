package template

import "slices"

// checkDesiredCounts: a deployment that names the count sets it, and undoes what Sluice has done since.
func checkDesiredCounts(d *Deployment, f *findings) {
	d.each(func(_ *Stack, r *Resource) {
		if n := r.at("DesiredCount"); n != nil {
			f.add(r, "leave it out", "DesiredCount is %v", n)
		}
	}, "AWS::ECS::Service")
	d.each(func(_ *Stack, r *Resource) {
		f.add(r, "leave it out: two scalers on one service fight", "is another scaler")
	}, "AWS::ApplicationAutoScaling::ScalableTarget")
}

func checkExample(d *Deployment, f *findings) {
	given := d.Config.Deploy.Example
	count := func(kind string) (n int) {
		d.each(func(*Stack, *Resource) { n++ }, kind)
		return n
	}
	services, groups := 0, 0
	if given != nil {
		services = 1
		if given.API {
			services = 2
		}
		if given.Redis != "external" {
			groups = 1
		}
	}
	if n := count("AWS::ECS::Service"); n != services {
		f.addAt("the stacks", "follow deploy.example", "have %d ECS services, and deploy.example asks for %d", n, services)
	}
	if n := count("AWS::ElastiCache::ReplicationGroup"); n != groups {
		f.addAt("the stacks", "follow deploy.example", "have %d ElastiCache groups, and deploy.example asks for %d", n, groups)
	}
	d.each(func(_ *Stack, r *Resource) {
		f.want(r, "DISABLED", "NetworkConfiguration", "AwsvpcConfiguration", "AssignPublicIp")
		f.want(r, true, "DeploymentConfiguration", "DeploymentCircuitBreaker", "Enable")
	}, "AWS::ECS::Service")
	worker := false
	d.each(func(_ *Stack, r *Resource) {
		f.want(r, "256", "Cpu")
		f.want(r, "512", "Memory")
		for _, c := range r.list("ContainerDefinitions") {
			if slices.Contains(texts(at(c, "Command")), "celery") {
				worker = true
				if seconds := at(c, "StopTimeout"); text(seconds) != "120" {
					f.add(r, "set it to 120, the most that Fargate gives", "StopTimeout of the workers is %v", seconds)
				}
			}
		}
	}, "AWS::ECS::TaskDefinition")
	if given != nil && !worker {
		f.addAt("the stacks", "make one", "have no task definition whose command is celery")
	}
	d.each(func(_ *Stack, r *Resource) {
		for _, property := range []string{
			"TransitEncryptionEnabled", "AtRestEncryptionEnabled", "MultiAZEnabled", "AutomaticFailoverEnabled",
		} {
			f.want(r, true, property)
		}
		if r.text("AuthToken") == "" && r.at("UserGroupIds") == nil {
			f.add(r, "set AuthToken to a reference to a secret", "asks for no password")
		}
		if given != nil {
			f.want(r, given.Redis, "Engine")
		}
	}, "AWS::ElastiCache::ReplicationGroup")
	d.each(func(_ *Stack, r *Resource) {
		f.add(r, "use a replication group, which encrypts", "is a cache without encryption")
	}, "AWS::ElastiCache::CacheCluster")
}
