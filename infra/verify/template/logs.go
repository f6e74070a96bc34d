package template

import "slices"

// checkLogs: a log group that nobody made is made by AWS, with logs that never expire.
func checkLogs(d *Deployment, f *findings) {
	d.each(func(_ *Stack, r *Resource) {
		f.want(r, d.Config.Deploy.LogRetention, "RetentionInDays")
	}, "AWS::Logs::LogGroup")

	var taken []*Resource
	own := func(s *Stack, r *Resource, group string) {
		g := s.target(group, "AWS::Logs::LogGroup")
		switch {
		case g == nil:
			f.add(r, "make one with a retention", "logs to %q, which is no log group of the template", group)
		case slices.Contains(taken, g):
			f.add(r, "give it one of its own", "shares its log group %s", g.ID)
		default:
			taken = append(taken, g)
		}
	}
	for _, name := range d.functionNames() {
		r := d.Functions[name]
		own(d.Sluice, r, r.text("LoggingConfig", "LogGroup"))
		f.want(r, "JSON", "LoggingConfig", "LogFormat")
	}
	for _, r := range d.Sluice.of("AWS::StepFunctions::StateMachine") {
		destinations := r.list("LoggingConfiguration", "Destinations")
		if len(destinations) != 1 {
			f.add(r, "give it one", "logs to %d destinations", len(destinations))
			continue
		}
		group := text(at(destinations[0], "CloudWatchLogsLogGroup", "LogGroupArn"))
		g := d.Sluice.refer(group)
		if len(g) != 1 {
			f.add(r, "make a log group with a retention", "logs to %q, which is no log group of the template", group)
			continue
		}
		own(d.Sluice, r, "${"+g[0].ID+"}")
	}
	d.each(func(s *Stack, r *Resource) {
		for _, c := range r.list("ContainerDefinitions") {
			if driver := text(at(c, "LogConfiguration", "LogDriver")); driver != "awslogs" {
				f.add(r, "use LogDriver_AwsLogs", "its container %v logs by %q", at(c, "Name"), driver)
			}
			if group := text(at(c, "LogConfiguration", "Options", "awslogs-group")); s.target(group, "AWS::Logs::LogGroup") == nil {
				f.add(r, "make one with a retention", "its container %v logs to %q, which is no log group of the template", at(c, "Name"), group)
			}
		}
	}, "AWS::ECS::TaskDefinition")
}
