// Command synth makes the CloudFormation template of the app in infra/ and shows on the way that its code is good: see
// the README.md of infra/verify.
//
//	synth types                                       the twins, so that the app compiles without the CDK's Go modules
//	synth app [-way W] [-config F] [-out D] [...]     the template, with the CDK's Go modules or without
package main

import (
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"path/filepath"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "synth:", err)
		os.Exit(1)
	}
}

const usage = "usage: synth types | synth app [-way auto|cdk|replay] [-config FILE] [-lambdas DIR] [-out DIR] [-overlay FILE]"

func run(args []string) error {
	if len(args) == 0 {
		return errors.New(usage)
	}
	flags := flag.NewFlagSet("synth "+args[0], flag.ContinueOnError)
	s := synth{log: log.New(os.Stdout, "synth: ", 0)}
	switch args[0] {
	case "types":
	case "app":
		flags.StringVar(&s.way, "way", "auto", "cdk: the CDK's Go modules; replay: without them; auto: cdk if they can be had")
		flags.StringVar(&s.config, "config", "", "the configuration (default sluice.yaml in the project's root)")
		flags.StringVar(&s.lambdas, "lambdas", "", "the folder of the functions' bootstraps (default build/lambda)")
		flags.StringVar(&s.overlay, "overlay", "", "a `FILE` for go build -overlay, with other content for files of the app")
		flags.StringVar(&s.out, "out", "", "the folder for the templates and assets (default build/infra/cdk.out)")
	default:
		return errors.New(usage)
	}
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	root, err := projectRoot()
	if err != nil {
		return err
	}
	s.root, s.dir, s.build = root, filepath.Join(root, "infra"), filepath.Join(root, "build", "infra")
	for _, path := range []*string{&s.overlay, &s.config, &s.lambdas, &s.out} {
		if *path == "" {
			continue
		}
		if *path, err = filepath.Abs(*path); err != nil {
			return err
		}
	}
	if s.out == "" {
		s.out = filepath.Join(s.build, "cdk.out")
	}
	if args[0] == "types" {
		return s.types(s.build)
	}
	return s.app()
}

// projectRoot is the folder that infra/ is in, looked for from here upwards.
func projectRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "infra", "cdk.json")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("no folder here or above has an infra/cdk.json: run it in the project")
		}
		dir = parent
	}
}
