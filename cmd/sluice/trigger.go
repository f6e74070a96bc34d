package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/spf13/cobra"

	"sluice/internal/config"
	"sluice/trigger"
)

// sendLimit bounds `sluice trigger`, the retries of the AWS client included.
const sendLimit = 30 * time.Second

// triggerFlags are the flags of `sluice trigger`.
type triggerFlags struct {
	config, queue           string
	scaleTo                 int
	hold                    time.Duration
	bus, source, detailType string
}

func triggerCommand() *cobra.Command {
	var f triggerFlags
	cmd := &cobra.Command{
		Use:   "trigger [TARGET]",
		Short: "Ask for workers by sending the event that producers send",
		Long: "Sends one event through EventBridge, with the AWS settings of the environment. TARGET may be left out where\n" +
			"there is only one, or where --queue names it. Where sluice.yaml is at hand it says which source, detail type and\n" +
			"bus to use, and unknown targets are refused before anything is sent.",
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
	flags.DurationVar(&f.hold, "hold", 0, "keep them for this `time`, such as 30m")
	flags.StringVar(&f.bus, "bus", "", "the event `bus`, by name or ARN")
	flags.StringVar(&f.source, "source", "", "the event's `source`")
	flags.StringVar(&f.detailType, "detail-type", "", "the event's detail `type`")
	return cmd
}

func sendTrigger(cmd *cobra.Command, f triggerFlags, args []string) error {
	event := trigger.Event{Queue: f.queue, Hold: f.hold}
	if len(args) > 0 {
		event.Target = args[0]
	}
	if cmd.Flags().Changed("scale-to") {
		event.ScaleTo = &f.scaleTo
	}
	options := trigger.Options{Source: f.source, DetailType: f.detailType, Bus: f.bus, Window: -1}
	region, err := fromConfig(cmd, f, event, &options)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), sendLimit)
	defer cancel()
	sdk, err := awsconfig.LoadDefaultConfig(ctx)
	if err != nil {
		return fmt.Errorf("load AWS settings: %w", err)
	}
	if region != "" { // Wherever the environment points: only there is someone who listens.
		sdk.Region = region
	}
	if sdk.Region == "" {
		return errors.New("load AWS settings: there is no Region: set AWS_REGION, or deploy.region in sluice.yaml")
	}
	if err := trigger.New(eventbridge.NewFromConfig(sdk), options).Trigger(ctx, event); err != nil {
		return err
	}
	_, err = fmt.Fprintln(cmd.OutOrStdout(), "sent")
	return err
}

// fromConfig takes from sluice.yaml what no flag says, and returns the Region that Sluice is deployed to, if the file has it. A file
// that was not asked for may be missing.
func fromConfig(cmd *cobra.Command, f triggerFlags, e trigger.Event, o *trigger.Options) (region string, err error) {
	c, err := config.Load(f.config)
	if errors.Is(err, fs.ErrNotExist) && !cmd.Flags().Changed("config") {
		return "", nil
	}
	if err != nil {
		return "", err
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
	return c.Deploy.Region, known(c, f.config, e)
}

// known refuses an event that ScaleOut would refuse, with the names that there are.
func known(c *config.Config, path string, e trigger.Event) error {
	var names, queues []string
	for _, t := range c.Targets {
		names = append(names, t.Name)
		queues = append(queues, t.Queues...)
	}
	switch {
	case e.Target != "" && !slices.Contains(names, e.Target):
		return fmt.Errorf("target %q is not in %s: name one of %s", e.Target, path, strings.Join(names, ", "))
	case e.Queue != "" && !slices.Contains(queues, e.Queue):
		return fmt.Errorf("no target of %s drains queue %q: name one of %s", path, e.Queue, strings.Join(queues, ", "))
	case e.Target == "" && e.Queue == "" && len(names) > 1:
		return fmt.Errorf("there are several targets in %s: name one of %s", path, strings.Join(names, ", "))
	}
	return nil
}
