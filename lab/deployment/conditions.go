package deployment

import "sluice/internal/config"

// condition is what one function calls an operation for, where that is not all targets or needs more to be said. The tests run the use
// cases with and without such targets.
type condition struct {
	function, operation string
	of                  func(config.Target) bool // The targets that it calls it for; nil is all.
	on                  kind                     // What it calls it on.
	tag                 string                   // The key of the only tag that it sets; empty where it sets none.
	why                 string
}

var conditions = []condition{
	{
		function: ScaleOut, operation: "ecs.ListTasks", of: asked, on: clusters,
		why: "where workers cannot be asked, single tasks tell a scale-out nothing",
	},
	{function: ScaleOut, operation: "ecs.DescribeTasks", of: asked, on: tasks, why: "as ListTasks"},
	{function: ScaleOut, operation: "ecs.GetTaskProtection", of: asked, on: tasks, why: "as ListTasks"},
	{
		function: ScaleIn, operation: "ecs.UpdateTaskProtection", of: asked, on: tasks,
		why: "workers that cannot be asked are not drained, so that the rest needs no protection",
	},
	{function: Check, operation: "ecs.UpdateTaskProtection", of: shielded, on: tasks, why: "shield"},
	{function: Check, operation: "ecs.TagResource", of: shielded, on: tasks, tag: "sluice:shield", why: "shield"},
	{
		function: ScaleOut, operation: "ecs.TagResource", on: services, tag: "sluice:floor",
		why: "any event may ask for a floor, by hold_seconds",
	},
}

// asked says whether the target's workers are asked what they do.
func asked(t config.Target) bool { return t.Activity.Source == config.ActivityInspect }

// shielded says whether checks protect the target's long tasks. It is asked then: a configuration with another shield is refused.
func shielded(t config.Target) bool { return t.Shield }
