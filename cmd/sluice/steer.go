package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/spf13/cobra"

	"sluice/internal/awsname"
	"sluice/internal/config"
	"sluice/internal/policy"
	"sluice/internal/scaler"
)

// Commands steer by the tags of a target's ECS service, which package scaler reads: they take effect with the next event or sweep, stand in
// the console for all to see, and end by themselves where they are given an end. Whoever may tag the service may steer.

// tagPrefix is of the tags that are Sluice's.
const tagPrefix = "sluice:"

// steerLimit bounds a command that steers, retries included.
const steerLimit = 60 * time.Second

// steering is what a command did to the tags of its targets' services.
type steering struct {
	Targets []retag `json:"targets"`
}

// retag is what was done to the tags of one target's service. Tags that are not Sluice's are left alone, and not shown.
type retag struct {
	Target  string            `json:"target"`
	Service string            `json:"service"` // Its ARN.
	Changed bool              `json:"changed"`
	Before  map[string]string `json:"tags_before"`
	After   map[string]string `json:"tags_after"`
	// The bounds in effect, with windows and tags, before and after.
	BoundsBefore bounds   `json:"bounds_before"`
	BoundsAfter  bounds   `json:"bounds_after"`
	Notes        []string `json:"notes,omitempty"`
	Error        string   `json:"error,omitempty"` // Why it was not done.
}

// bounds are the fewest and the most tasks.
type bounds struct {
	Min int `json:"min"`
	Max int `json:"max"`
}

func (b bounds) String() string { return fmt.Sprintf("%d to %d", b.Min, b.Max) }

// change is what is to be done to tags: some are set, and then others removed, so that at no moment less is held back than before or after.
type change struct {
	set    map[string]string
	remove []string
	notes  []string
}

// steer changes the tags of targets' services: want says how, by what there is. Nothing is changed before all services were found and all
// changes make sense. A service that then fails does not keep the others from theirs.
func steer(cmd *cobra.Command, c *config.Config, targets []config.Target, want func(t config.Target, tags map[string]string, now time.Time) (change, error)) (steering, *ecs.Client, error) {
	sdk, err := awsSettings(cmd, c)
	if err != nil {
		return steering{}, nil, err
	}
	client := ecs.NewFromConfig(sdk)
	ctx, cancel := context.WithTimeout(cmd.Context(), steerLimit)
	defer cancel()
	found, err := services(ctx, client, targets)
	if err != nil {
		return steering{}, client, err
	}
	now := time.Now()
	changes := make([]change, len(targets))
	var problems []error
	for i, t := range targets {
		if changes[i], err = want(t, tagsOf(found[i]), now); err != nil {
			problems = append(problems, fmt.Errorf("target %s: %w", t.Name, err))
		}
	}
	if err := errors.Join(problems...); err != nil {
		return steering{}, client, err
	}
	var s steering
	for i, t := range targets {
		before := tagsOf(found[i])
		r := retag{
			Target: t.Name, Service: aws.ToString(found[i].ServiceArn), Before: before, After: before,
			BoundsBefore: boundsOf(t, before, now), BoundsAfter: boundsOf(t, before, now), Notes: changes[i].notes,
		}
		after := changes[i].applied(before)
		if !maps.Equal(before, after) {
			set, err := changes[i].apply(ctx, client, r.Service, before)
			if err != nil {
				r.Error = err.Error()
				problems = append(problems, fmt.Errorf("target %s: %w", t.Name, err))
				after = change{set: changes[i].set}.applied(before) // What could be done before it failed.
			}
			if err == nil || set {
				r.Changed, r.After, r.BoundsAfter = true, after, boundsOf(t, after, now)
			}
		}
		for _, problem := range overrides(t, r.After, now).Bad {
			r.Notes = append(r.Notes, problem+"; until then nothing is let go")
		}
		s.Targets = append(s.Targets, r)
	}
	return s, client, errors.Join(problems...)
}

// applied is the tags after the change.
func (c change) applied(tags map[string]string) map[string]string {
	after := map[string]string{}
	maps.Copy(after, tags)
	maps.Copy(after, c.set)
	for _, tag := range c.remove {
		delete(after, tag)
	}
	return after
}

// apply changes the tags, and says whether some were set, also if it fails after that.
func (c change) apply(ctx context.Context, client *ecs.Client, arn string, before map[string]string) (done bool, err error) {
	var set []types.Tag
	for _, key := range slices.Sorted(maps.Keys(c.set)) {
		if old, ok := before[key]; !ok || old != c.set[key] {
			set = append(set, types.Tag{Key: aws.String(key), Value: aws.String(c.set[key])})
		}
	}
	if len(set) > 0 {
		if _, err := client.TagResource(ctx, &ecs.TagResourceInput{ResourceArn: &arn, Tags: set}); err != nil {
			return false, fmt.Errorf("tag service %s: %w", arn, err)
		}
	}
	remove := slices.DeleteFunc(slices.Clone(c.remove), func(tag string) bool { _, ok := before[tag]; return !ok })
	if len(remove) > 0 {
		if _, err := client.UntagResource(ctx, &ecs.UntagResourceInput{ResourceArn: &arn, TagKeys: remove}); err != nil {
			return len(set) > 0, fmt.Errorf("untag service %s: %w", arn, err)
		}
	}
	return true, nil
}

// overrides reads tags as package scaler does, over what sluice.yaml and its windows say at that time.
func overrides(t config.Target, tags map[string]string, at time.Time) scaler.Overrides {
	least, most, _ := t.Bounds(at)
	return scaler.ParseTags(tags, policy.Limits{Min: least, Max: most}, at)
}

func boundsOf(t config.Target, tags map[string]string, at time.Time) bounds {
	l := overrides(t, tags, at).Limits
	return bounds{l.Min, l.Max}
}

// services describes the services of targets, with their tags, in the targets' order. One that is not there is an error that names it.
func services(ctx context.Context, client *ecs.Client, targets []config.Target) ([]types.Service, error) {
	const most = 10 // That DescribeServices takes.
	found := make([]types.Service, len(targets))
	byCluster := map[string][]int{}
	for i, t := range targets {
		byCluster[t.Cluster] = append(byCluster[t.Cluster], i)
	}
	var problems []error
	for _, cluster := range slices.Sorted(maps.Keys(byCluster)) {
		for some := range slices.Chunk(byCluster[cluster], most) {
			in := &ecs.DescribeServicesInput{Cluster: &cluster, Include: []types.ServiceField{types.ServiceFieldTags}}
			for _, i := range some {
				in.Services = append(in.Services, targets[i].Service)
			}
			out, err := client.DescribeServices(ctx, in)
			if err != nil {
				return nil, fmt.Errorf("describe services of cluster %s: %w", cluster, err)
			}
			for _, i := range some {
				at := slices.IndexFunc(out.Services, func(s types.Service) bool {
					return aws.ToString(s.Status) == "ACTIVE" && (aws.ToString(s.ServiceArn) == targets[i].Service || aws.ToString(s.ServiceName) == awsname.Last(targets[i].Service))
				})
				if at < 0 {
					problems = append(problems, fmt.Errorf("target %s: there is no service %s in cluster %s: correct sluice.yaml, or look in another account or Region",
						targets[i].Name, targets[i].Service, cluster))
					continue
				}
				found[i] = out.Services[at]
			}
		}
	}
	return found, errors.Join(problems...)
}

// tagsOf are the tags of a service that are Sluice's.
func tagsOf(s types.Service) map[string]string {
	tags := map[string]string{}
	for _, t := range s.Tags {
		if key := aws.ToString(t.Key); strings.HasPrefix(key, tagPrefix) {
			tags[key] = aws.ToString(t.Value)
		}
	}
	return tags
}

// report prints what was done, with the error of what was not. Where nothing was begun there is nothing to print.
func (s steering) report(cmd *cobra.Command, err error) error {
	if len(s.Targets) == 0 {
		return err
	}
	return errors.Join(print(cmd, s, s.write), err)
}

// write writes each tag that changed, before and after.
func (s steering) write(w *textWriter) {
	now := time.Now()
	t := w.table(column{title: "TARGET", names: true}, column{title: "WHAT"}, column{title: "BEFORE"}, column{title: "AFTER"})
	for _, r := range s.Targets {
		r.rows(t, now)
	}
	t.end()
}

func (r retag) rows(t *table, now time.Time) {
	switch {
	case r.Error != "" && !r.Changed:
		t.row(r.Target, bad("failed"))
		t.note("%s", r.Error)
		return
	case !r.Changed:
		t.row(r.Target, dim("unchanged"))
	default:
		name := r.Target
		keys := slices.Collect(maps.Keys(r.Before))
		keys = slices.AppendSeq(keys, maps.Keys(r.After))
		slices.Sort(keys)
		for _, key := range slices.Compact(keys) {
			if before, after := tagShown(r.Before, key, now), tagShown(r.After, key, now); before != after {
				t.row(name, key, before, bold(after))
				name = ""
			}
		}
		if r.BoundsBefore != r.BoundsAfter {
			t.row(name, "tasks", r.BoundsBefore, bold(r.BoundsAfter.String()))
		}
	}
	if r.Error != "" {
		t.note("%s", bad("Not all of it was done: "+r.Error))
	}
	for _, note := range r.Notes {
		t.note("%s", note)
	}
}

// tagShown is a tag's value for people, its end in their own time.
func tagShown(tags map[string]string, key string, now time.Time) string {
	value, ok := tags[key]
	if !ok {
		return "-"
	}
	what, end, ends := strings.Cut(value, "@")
	ends = ends && key != scaler.TagReason // That is a text, whatever is in it.
	until, err := time.Parse(time.RFC3339, end)
	switch {
	case !ends || err != nil:
		return value
	case !now.Before(until):
		return what + ", ended " + when(until, now)
	}
	return what + " until " + when(until, now)
}

// orAll returns the targets that a command is to change. Where it is dangerous to leave them out, all of them have to be asked for.
func orAll(cmd *cobra.Command, args []string, all bool) (*config.Config, []config.Target, error) {
	if all && len(args) > 0 {
		return nil, nil, misused("name targets, or say --all")
	}
	c, named, err := targets(cmd, args)
	if err == nil && len(args) == 0 && !all && len(named) > 1 {
		err = misused("which one? Name targets, or say --all for these: %s", listed(targetNames(c)))
	}
	return c, named, err
}

// until is when a change ends; zero for never.
func until(now time.Time, lasting span) time.Time {
	if lasting == 0 {
		return time.Time{}
	}
	return now.Add(time.Duration(lasting)).Round(time.Second)
}
