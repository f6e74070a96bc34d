package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/smithy-go"
	"github.com/spf13/cobra"

	"sluice/internal/config"
	"sluice/internal/terminal"
)

// defaultConfig is the file that commands read if none is named.
const defaultConfig = "sluice.yaml"

// addConfig gives all commands the flag --config.
func addConfig(root *cobra.Command) {
	root.PersistentFlags().String("config", defaultConfig, "the configuration `file`")
	_ = root.MarkPersistentFlagFilename("config", "yaml", "yml")
}

// configPath is the configuration file that the flag --config names.
func configPath(cmd *cobra.Command) string {
	if f := cmd.Flag("config"); f != nil {
		return f.Value.String()
	}
	return defaultConfig
}

// load reads the configuration. The problems of one that is not valid are printed, one a line.
func load(cmd *cobra.Command) (*config.Config, error) {
	f, err := open(configPath(cmd), cmd.ErrOrStderr())
	if err != nil {
		return nil, err
	}
	return f.Config, nil
}

// targets reads the configuration and returns the targets that the arguments name, in their order; all of them if there is no
// argument.
func targets(cmd *cobra.Command, args []string) (*config.Config, []config.Target, error) {
	c, err := load(cmd)
	if err != nil || len(args) == 0 {
		if c == nil {
			return nil, nil, err
		}
		return c, c.Targets, nil
	}
	var named []config.Target
	for i, name := range args {
		t, ok := c.Target(name)
		if !ok {
			return nil, nil, fmt.Errorf("target %q is not in %s: name one of %s", name, configPath(cmd), listed(targetNames(c)))
		}
		if slices.Index(args, name) == i {
			named = append(named, t)
		}
	}
	return c, named, nil
}

func targetNames(c *config.Config) []string {
	names := make([]string, len(c.Targets))
	for i, t := range c.Targets {
		names[i] = t.Name
	}
	return names
}

// listed lists names, and not too many.
func listed(names []string) string {
	const most = 20
	if n := len(names); n > most {
		names = append(slices.Clip(names[:most]), fmt.Sprintf("... (%d more)", n-most))
	}
	return strings.Join(names, ", ")
}

// oneTarget is for commands that take the name of one target.
func oneTarget(cmd *cobra.Command, args []string) error {
	if len(args) == 1 {
		return nil
	}
	c, err := config.Load(configPath(cmd))
	if err != nil {
		return errors.New("name one target")
	}
	return errors.New("name one target: " + listed(targetNames(c)))
}

// completeTargets completes the names of targets that are not on the command line yet; most of them at most.
func completeTargets(most int) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		c, err := config.Load(configPath(cmd))
		if err != nil || len(args) >= most {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return slices.DeleteFunc(targetNames(c), func(name string) bool { return slices.Contains(args, name) }), cobra.ShellCompDirectiveNoFileComp
	}
}

// anyTargets is for commands that take any number of targets: see completeTargets.
const anyTargets = 1 << 30

// credentialsWait bounds the search for credentials: on a laptop that has none the last place to look is an instance's metadata
// service, which is not there.
const credentialsWait = 10 * time.Second

// awsSettings are the AWS settings of the environment, as the AWS CLI finds them, for the Region that Sluice is deployed to. Without
// credentials or Region the error says what to do.
func awsSettings(cmd *cobra.Command, c *config.Config) (aws.Config, error) {
	ctx, cancel := context.WithTimeout(cmd.Context(), credentialsWait)
	defer cancel()
	sdk, err := awsconfig.LoadDefaultConfig(ctx)
	if err != nil {
		return aws.Config{}, fmt.Errorf("load AWS settings: %w", err)
	}
	if c != nil && c.Deploy.Region != "" { // Wherever the environment points: only there is what was deployed.
		sdk.Region = c.Deploy.Region
	}
	if sdk.Region == "" {
		return aws.Config{}, errors.New("load AWS settings: there is no Region: set AWS_REGION, or deploy.region in sluice.yaml")
	}
	if _, err := sdk.Credentials.Retrieve(ctx); err != nil {
		if cmd.Context().Err() != nil {
			return aws.Config{}, cmd.Context().Err()
		}
		none := errors.New("load AWS settings: there are no credentials: log in (aws sso login), or set AWS_PROFILE, " +
			"or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
		if strings.Contains(err.Error(), "no EC2 IMDS role found") { // The last place to look: none was found anywhere.
			return aws.Config{}, none
		}
		return aws.Config{}, fmt.Errorf("%w: %w", none, err)
	}
	return sdk, nil
}

// wire is what the AWS client says of the transport when AWS has answered with an error: nothing that people need.
var wire = regexp.MustCompile(`https response error StatusCode: \d+, RequestID: [^,]*, (api error )?`)

// plainly is an error for people: of several, each is on a line of its own.
func plainly(err error) string {
	lines := strings.Split(wire.ReplaceAllString(err.Error(), ""), "\n")
	for i, line := range lines {
		lines[i] = terminal.Clean(terminal.Cut(line, terminal.MostShown))
	}
	return strings.Join(lines, "\n")
}

// remedy is what to do about an error of AWS whose own text does not say it; "" for others.
func remedy(err error) string {
	var e smithy.APIError
	if !errors.As(err, &e) {
		if errors.Is(err, fs.ErrNotExist) && strings.HasPrefix(err.Error(), "read config:") {
			return "Go to where it is, name another with --config, or write one: README.md has an example."
		}
		return ""
	}
	switch code := e.ErrorCode(); {
	case strings.HasPrefix(code, "ExpiredToken"), code == "RequestExpired":
		return "Your AWS session has expired: log in again (aws sso login), or renew the credentials in your environment."
	case code == "UnrecognizedClientException", code == "InvalidClientTokenId", code == "InvalidSignatureException":
		return "AWS does not know these credentials: `aws sts get-caller-identity` shows whose they are."
	case strings.HasPrefix(code, "AccessDenied"):
		return "Your AWS user or role lacks this right: docs/operate.md lists those that each command needs."
	case strings.HasPrefix(code, "Throttling"), code == "TooManyRequestsException":
		return "AWS asks for fewer calls: wait a minute and try again."
	}
	return ""
}

// ago is a span of time as people say it: "12s", "4m", "3h20m", "2d".
func ago(d time.Duration) string {
	switch d = max(d, 0); {
	case d < 2*time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 48*time.Hour:
		if m := int(d.Minutes()) % 60; m > 0 && d < 10*time.Hour {
			return fmt.Sprintf("%dh%dm", int(d.Hours()), m)
		}
		return fmt.Sprintf("%dh", int(d.Hours()))
	}
	return fmt.Sprintf("%dd", int(d.Hours())/24)
}

// shown is a count for people: ? if nobody knows it.
func shown(n *int) string {
	if n == nil {
		return "?"
	}
	return fmt.Sprint(*n)
}
