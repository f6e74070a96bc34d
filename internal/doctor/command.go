package doctor

import (
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
)

// launch is how a container starts Celery: what stands in front of it, and what it is told.
type launch struct {
	// Shell is the shell that runs Celery and does not give way to it, such as "sh -c": a SIGTERM ends there.
	Shell string
	// Group is what hands a SIGTERM to Celery's pool processes as well, such as "dumb-init".
	Group string
	// Opaque is a program in front of Celery of which nothing is known.
	Opaque string
	Args   []string // Celery's own, from "worker" on.
}

// errNoCelery says that no worker is to be seen in a command line.
var errNoCelery = errors.New("it does not name `celery ... worker`: what it starts cannot be seen")

// shells are programs that run a script given by -c. They hand on no signal while a command of the script runs.
var shells = []string{"sh", "bash", "dash", "ash", "zsh", "ksh", "busybox"}

// transparent are programs that become what they start (exec), or hand signals on to it alone: from the documentation or source
// of each. Options that take a value are not known here, and need not be: Celery is looked for in all that follows.
var transparent = []string{
	"env", "nice", "ionice", "gosu", "su-exec", "tini", "docker-init", "catatonit", "newrelic-admin", "ddtrace-run",
	"opentelemetry-instrument", "poetry", "pipenv", "chamber", "setpriv", "stdbuf",
}

// python is a Python interpreter by any of its names.
var python = regexp.MustCompile(`^python([0-9.]*)$`)

// givesWay is a script that ends with `exec` of Celery: the shell is gone then.
var givesWay = regexp.MustCompile(`(^|[;&|({]\s*|\n\s*|\b(then|do|else)\s+)exec\s+[^;&|\n]*\bcelery\b`)

// launchOf finds out how a container starts Celery.
func launchOf(c Container) (launch, error) {
	argv := slices.Concat(c.EntryPoint, c.Command)
	if len(argv) == 0 {
		return launch{}, errors.New("the task definition has neither entryPoint nor command: the image alone says what is started")
	}
	var l launch
	return l, l.read(argv, c.Env)
}

// read goes through a command line from its first program on.
func (l *launch) read(argv []string, env map[string]string) error {
	for i, word := range argv {
		name := path.Base(word)
		rest := argv[i+1:]
		switch {
		case name == "celery":
			return l.celery(rest)
		case slices.Contains(shells, name):
			return l.script(name, rest, env)
		case name == "dumb-init":
			if !singleChild(rest, env) {
				l.Group = name
			}
		case name == "tini" || name == "docker-init":
			if slices.ContainsFunc(until(rest), func(o string) bool {
				return strings.HasPrefix(o, "-") && !strings.HasPrefix(o, "--") && strings.Contains(o, "g")
			}) {
				l.Group = name + " -g"
			}
		case i == 0 && !python.MatchString(name) && !slices.Contains(transparent, name):
			l.Opaque = word
		}
	}
	return errNoCelery
}

// script reads what a shell is given.
func (l *launch) script(shell string, args []string, env map[string]string) error {
	for i, a := range args {
		if !strings.HasPrefix(a, "-") {
			l.Opaque = a // A file, which the image has.
			return l.read(args[i+1:], env)
		}
		if !strings.HasPrefix(a, "--") && strings.Contains(a, "c") && i+1 < len(args) {
			text := args[i+1]
			if !givesWay.MatchString(text) {
				l.Shell = shell + " " + a
			}
			all := words(text)
			if i := slices.IndexFunc(all, func(w string) bool { return path.Base(w) == "celery" }); i >= 0 {
				return l.celery(all[i+1:])
			}
			return errNoCelery
		}
	}
	return errNoCelery
}

// celery takes Celery's own arguments.
func (l *launch) celery(args []string) error {
	i := slices.Index(args, "worker")
	if i < 0 {
		return errNoCelery
	}
	// Options of the program itself, such as -A, stand before the command; those after it are the worker's.
	l.Args = args[i+1:]
	return nil
}

// singleChild says whether dumb-init was told to signal its child alone: https://github.com/Yelp/dumb-init#session-behavior.
func singleChild(args []string, env map[string]string) bool {
	if v, ok := env["DUMB_INIT_SETSID"]; ok && v == "0" {
		return true
	}
	return slices.ContainsFunc(until(args), func(o string) bool { return o == "-c" || o == "--single-child" })
}

// until are the options that a command line begins with.
func until(args []string) []string {
	for i, a := range args {
		if a == "--" || !strings.HasPrefix(a, "-") {
			return args[:i]
		}
	}
	return args
}

// words splits the text of a script as far as is needed to find Celery in it: at blanks and separators, without quotes.
func words(script string) []string {
	return strings.FieldsFunc(strings.NewReplacer(`"`, "", `'`, "", "\\\n", " ").Replace(script), func(r rune) bool {
		return strings.ContainsRune(" \t\n;&|(){}", r)
	})
}

// option returns the value of one of Celery's options by its short or long name; false if it is not given. The last one counts.
func (l launch) option(short, long string) (value string, ok bool) {
	for i, a := range l.Args {
		switch {
		case (a == short || a == long) && i+1 < len(l.Args):
			value, ok = l.Args[i+1], true
		case long != "" && strings.HasPrefix(a, long+"="):
			value, ok = a[len(long)+1:], true
		case short != "" && strings.HasPrefix(a, short) && len(a) > len(short) && !strings.HasPrefix(a, "--"):
			value, ok = strings.TrimPrefix(a[len(short):], "="), true
		}
	}
	return value, ok
}

// flag says whether one of Celery's options without a value is given.
func (l launch) flag(names ...string) bool {
	return slices.ContainsFunc(l.Args, func(a string) bool { return slices.Contains(names, a) })
}

// worker returns the container that starts the worker, and how it does.
func (d Definition) worker() (Container, launch, error) {
	var first error
	for _, c := range d.Containers {
		l, err := launchOf(c)
		if err == nil {
			return c, l, nil
		}
		if first == nil {
			first = fmt.Errorf("container %s: %w", c.Name, err)
		}
	}
	if first == nil {
		first = errors.New("the task definition has no container")
	}
	return Container{}, launch{}, first
}
