package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/spf13/cobra"

	"sluice/internal/config"
	"sluice/trigger"
)

// sendLimit bounds `sluice trigger`, the retries of the AWS client included.
const sendLimit = 30 * time.Second

// mostHeld is the longest that ScaleOut keeps what an event asked for.
const mostHeld = 7 * 24 * time.Hour

// triggerFlags are the flags of `sluice trigger`.
type triggerFlags struct {
	config, queue           string
	scaleTo                 int
	hold                    span
	bus, source, detailType string
}

func triggerCommand() *cobra.Command {
	var f triggerFlags
	cmd := &cobra.Command{
		Use:   "trigger [TARGET]",
		Short: "Ask for workers by sending the event that producers send",
		Long: "Sends one event through EventBridge, as the application does when it has put a message into a queue. TARGET may be left out " +
			"where there is only one, or where --queue names it. Where sluice.yaml is at hand it says which source, detail type and bus " +
			"to use, and unknown targets are refused before anything is sent.\n\n" +
			"An event only ever raises a count, up to the target's max. What came of it shows `sluice why`.",
		Example:           "  sluice trigger worker --scale-to 2 --hold 30m",
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: completeTargets(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			f.config = configPath(cmd)
			return sendTrigger(cmd, f, args)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.queue, "queue", "", "the `queue` whose target is meant")
	flags.IntVar(&f.scaleTo, "scale-to", 0, "ask for at least `N` workers (default: what the queue needs)")
	flags.Var(&f.hold, "hold", "keep them for so long, such as 30m or 2h")
	flags.StringVar(&f.bus, "bus", "", "the event `bus`, by name or ARN")
	flags.StringVar(&f.source, "source", "", "the event's `source`")
	flags.StringVar(&f.detailType, "detail-type", "", "the event's detail `type`")
	return cmd
}

// sent is the event that `sluice trigger` has sent.
type sent struct {
	Target      string `json:"target,omitempty"`
	Queue       string `json:"queue,omitempty"`
	ScaleTo     *int   `json:"scale_to,omitempty"`
	HoldSeconds int64  `json:"hold_seconds,omitempty"`
	Bus         string `json:"bus"`
	Source      string `json:"source"`
	DetailType  string `json:"detail_type"`
	Region      string `json:"region"`
}

func sendTrigger(cmd *cobra.Command, f triggerFlags, args []string) error {
	event := trigger.Event{Queue: f.queue, Hold: time.Duration(f.hold)}
	if len(args) > 0 {
		event.Target = args[0]
	}
	switch {
	case !cmd.Flags().Changed("scale-to"):
		if f.hold > 0 {
			return misused("--hold needs --scale-to: it says how many are to be kept")
		}
	case time.Duration(f.hold) > mostHeld:
		return misused("--hold: use 7d at most; ScaleOut keeps nothing for longer")
	case f.scaleTo < 1:
		return misused("--scale-to: use 1 or more, or leave it out to have what the queue needs")
	default:
		event.ScaleTo = &f.scaleTo
	}
	options := trigger.Options{Source: f.source, DetailType: f.detailType, Bus: f.bus, Window: -1}
	c, err := fromConfig(cmd, f, event, &options)
	if err != nil {
		return err
	}
	sdk, err := awsSettings(cmd, c)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), sendLimit)
	defer cancel()
	if err := trigger.New(eventbridge.NewFromConfig(sdk), options).Trigger(ctx, event); err != nil {
		return err
	}
	s := sent{
		Target: event.Target, Queue: event.Queue, ScaleTo: event.ScaleTo, HoldSeconds: int64(event.Hold.Seconds()), Region: sdk.Region,
		Bus: cmp.Or(options.Bus, "default"), Source: cmp.Or(options.Source, trigger.DefaultSource), DetailType: cmp.Or(options.DetailType, trigger.DefaultDetailType),
	}
	return print(cmd, s, func(w *textWriter) {
		wish := "the workers that the queue needs"
		if s.ScaleTo != nil {
			wish = "at least " + count(*s.ScaleTo, "worker")
		}
		if f.hold > 0 {
			wish += ", kept for " + f.hold.String()
		}
		w.wrapped(0, "Sent to bus %s in %s: %s.", s.Bus, s.Region, wish)
	})
}

// fromConfig takes from sluice.yaml what no flag says. A file that was not asked for may be missing: then there is no config, and no
// error.
func fromConfig(cmd *cobra.Command, f triggerFlags, e trigger.Event, o *trigger.Options) (*config.Config, error) {
	if _, err := os.Stat(f.config); errors.Is(err, fs.ErrNotExist) && !cmd.Flags().Changed("config") {
		return nil, nil
	}
	c, err := load(cmd)
	if err != nil {
		return nil, err
	}
	if o.Source == "" {
		o.Source = c.Events.Source
	}
	if o.DetailType == "" {
		o.DetailType = c.Events.DetailType
	}
	if o.Bus == "" {
		o.Bus = c.Events.Bus
	}
	return c, known(c, f.config, e)
}

// known refuses an event that ScaleOut would refuse, with the names that there are.
func known(c *config.Config, path string, e trigger.Event) error {
	var names, queues, drainers []string // The last are the targets that the event can mean by its queue.
	for _, t := range c.Targets {
		names = append(names, t.Name)
		queues = append(queues, t.Queues...)
		if slices.Contains(t.Queues, e.Queue) {
			drainers = append(drainers, t.Name)
		}
	}
	switch {
	case e.Target != "" && !slices.Contains(names, e.Target):
		return fmt.Errorf("target %q is not in %s: name one of %s", e.Target, path, strings.Join(names, ", "))
	case e.Queue != "" && !slices.Contains(queues, e.Queue):
		return fmt.Errorf("no target of %s drains queue %q: name one of %s", path, e.Queue, strings.Join(queues, ", "))
	case e.Target != "" && e.Queue != "" && !slices.Contains(drainers, e.Target):
		return fmt.Errorf("target %s does not drain queue %q: leave one of them out", e.Target, e.Queue)
	case e.Target == "" && len(drainers) > 1:
		return fmt.Errorf("several targets of %s drain queue %q: name one of %s", path, e.Queue, strings.Join(drainers, ", "))
	case e.Target == "" && e.Queue == "" && len(names) > 1:
		return fmt.Errorf("there are several targets in %s: name one of %s", path, strings.Join(names, ", "))
	}
	return nil
}
