package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"

	"sluice/lab/cloud"
)

// functions returns a folder with the Lambda functions as they ship: `local`, beside this program, where `make build` has both;
// otherwise they are built from the checkout that this program or the working directory is in.
func functions(log *story) (string, error) {
	program, err := os.Executable()
	if err != nil {
		return "", err
	}
	if program, err = filepath.EvalSymlinks(program); err != nil {
		return "", err
	}
	beside := filepath.Join(filepath.Dir(program), "local")
	if _, err := os.Stat(filepath.Join(beside, "check", "bootstrap")); err == nil {
		return beside, nil
	}
	here, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for _, dir := range []string{filepath.Dir(program), here} {
		if root := checkout(dir); root != "" {
			log.say("building the functions, which takes a minute the first time")
			dir := filepath.Join(root, "build", "local")
			return dir, cloud.BuildFunctions(root, dir)
		}
	}
	return "", errors.New("find the functions: there is no folder `local` beside this program, and neither it nor the working directory " +
		"is in a checkout of Sluice to build them from: run `make build` in one, or name their folder with --lambdas")
}

// checkout returns the root of the checkout of Sluice that a folder is in; empty if it is in none.
func checkout(dir string) string {
	for {
		if text, err := os.ReadFile(filepath.Join(dir, "go.mod")); err == nil && strings.HasPrefix(string(text), "module sluice\n") {
			return dir
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return ""
		}
		dir = parent
	}
}
