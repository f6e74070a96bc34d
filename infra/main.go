// Command infra is the CDK app that deploys Sluice. All that it is told stands in sluice.yaml:
//
//	SLUICE_CONFIG   its path; by default ../sluice.yaml, in the project's root
//	SLUICE_LAMBDAS  the folder of the functions' programs; by default ../build/lambda, which `make lambdas` fills
//
// Brokers with `url_env` take their URL from the variable of that name in the environment of this app.
//
// `make synth`, `make diff`, `make deploy` and `make destroy` run it by the CDK's command line (cdk.json).
package main

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/jsii-runtime-go"

	"sluice/infra/sluicecdk"
	"sluice/infra/stacks"
	"sluice/internal/config"
)

func main() {
	defer jsii.Close()
	defer showRefusal()
	path := cmp.Or(os.Getenv("SLUICE_CONFIG"), "../sluice.yaml")
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		fmt.Fprintf(os.Stderr, "%s is missing: write it (README.md), or say which: SLUICE_CONFIG=../examples/shop/sluice.yaml npx cdk synth\n", path)
		os.Exit(1)
	}
	c, err := config.Load(path)
	if err != nil {
		fmt.Fprintln(os.Stderr, err) // Every problem on a line of its own, as `sluice validate` has them.
		os.Exit(1)
	}
	app := awscdk.NewApp(nil)
	stacks.Make(app, c, &sluicecdk.SluiceProps{
		Config:      &path,
		Functions:   jsii.String(cmp.Or(os.Getenv("SLUICE_LAMBDAS"), "../build/lambda")),
		Environment: urlsFromEnvironment(c),
	})
	app.Synth(nil)
}

// showRefusal ends the app with the message alone where somebody's sluice.yaml or environment cannot be deployed. Any other panic
// keeps its stack trace.
func showRefusal() {
	switch p := recover().(type) {
	case nil:
	case sluicecdk.Refusal:
		fmt.Fprintln(os.Stderr, p)
		os.Exit(1)
	default:
		panic(p)
	}
}

// urlsFromEnvironment are the values of the variables that brokers name in url_env.
func urlsFromEnvironment(c *config.Config) *map[string]*string {
	urls := make(map[string]*string)
	for _, b := range c.Brokers {
		if value := os.Getenv(b.URLEnv); b.URLEnv != "" && value != "" {
			urls[b.URLEnv] = &value
		}
	}
	return &urls
}
