package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"sluice/infra/verify/permissions"
	"sluice/infra/verify/template"
	"sluice/internal/config"
)

// lab is what all cases share.
type lab struct {
	root     string // Of the project.
	dir      string // For everything that is made here.
	synth    string // The synthesis tool, built.
	cfnLint  string
	calls    map[string][]permissions.Call
	machines machines
}

// newLab builds what the cases share. The command that gets what is missing stands in the error.
func newLab(ctx context.Context, dir string) (*lab, error) {
	root, err := projectRoot()
	if err != nil {
		return nil, err
	}
	l := &lab{root: root, dir: dir, synth: filepath.Join(dir, "synth"), machines: machines{root: root, known: map[string][]string{}}}
	if l.cfnLint = os.Getenv("CFN_LINT"); l.cfnLint == "" {
		l.cfnLint = filepath.Join(root, "build", "venv-infra", "bin", "cfn-lint")
	}
	for path, remedy := range map[string]string{
		l.cfnLint:         "run `make build/venv-infra`, or set CFN_LINT to its path",
		l.machines.node(): "run `make lab/engines/node_modules`",
		l.shippedDir():    "run `make lambdas`",
		filepath.Join(root, "infra", "node_modules", "aws-cdk-lib"): "run `npm ci --prefix infra`",
	} {
		if _, err := os.Stat(path); err != nil {
			return nil, fmt.Errorf("%s is missing: %s", path, remedy)
		}
	}
	build := exec.CommandContext(ctx, "go", "build", "-o", l.synth, "./synth")
	build.Dir = filepath.Join(root, "infra", "verify")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build the synthesis tool: %w\n%s", err, out)
	}
	if err := l.buildBootstraps(ctx); err != nil {
		return nil, err
	}
	l.calls, err = permissions.Calls(root, nil)
	return l, err
}

// projectRoot is the folder that infra/ is in, looked for from here upwards.
func projectRoot() (string, error) {
	dir, err := os.Getwd()
	for err == nil {
		if _, err := os.Stat(filepath.Join(dir, "infra", "cdk.json")); err == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", errors.New("no folder here or above has an infra/cdk.json: run it in the project")
		}
		dir = filepath.Dir(dir)
	}
	return "", err
}

// deployment is one to synthesize and to check.
type deployment struct {
	name       string
	config     string            // The text of sluice.yaml.
	files      map[string]string // Other files beside it.
	bootstraps string            // The folder of the bootstraps.
	given      string            // The folder of those that are meant, if not the same.
	overlay    string            // For the compiler of the app; empty for none.
	definition string            // The state machine with its placeholders.
	urls       map[string]string
	secrets    []string
	rules      bool // Whether the CDK's default rules look at it, too, which takes longer than all the rest of a synthesis.
	lint       bool // Whether cfn-lint does.
	twice      bool // Whether it is synthesized twice, to compare.
}

// twice is the name of the check that the same gives the same.
const twice = "synthesized twice"

// caught is something that a check has found.
type caught struct {
	by   string // The check.
	text string
}

// out is the folder for what is synthesized of a deployment.
func (l *lab) out(d deployment) string { return filepath.Join(l.dir, d.name, "cdk.out") }

// write writes the files of a deployment.
func (l *lab) write(d deployment) error {
	files := map[string]string{configFile: d.config}
	maps.Copy(files, d.files)
	for name, content := range files {
		path := filepath.Join(l.dir, d.name, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// assess synthesizes a deployment and runs all checks on what comes of it. An error is that something could not be done at all.
func (l *lab) assess(ctx context.Context, d deployment) (found []caught, err error) {
	if err := l.write(d); err != nil {
		return nil, err
	}
	out := l.out(d)
	if text, err := l.synthesize(ctx, d); err != nil {
		found = append(found, caught{stage(text), text})
		out += ".refused" // A template that was refused at the end is there all the same.
	}
	if _, err := os.Stat(filepath.Join(out, "manifest.json")); errors.Is(err, os.ErrNotExist) && len(found) > 0 {
		return found, nil
	}
	c, err := config.Load(filepath.Join(l.dir, d.name, configFile))
	if err != nil {
		return nil, err
	}
	more, err := l.checkTemplate(ctx, template.Given{
		Config: c, Bootstraps: cmp.Or(d.given, d.bootstraps), Definition: d.definition, URLs: d.urls, Secrets: d.secrets,
	}, out)
	found = append(found, more...)
	if err == nil && d.lint {
		more, err = l.lint(ctx, out)
		found = append(found, more...)
	}
	if err == nil && d.twice {
		if difference := l.compare(ctx, d); difference != nil {
			found = append(found, caught{twice, difference.Error()})
		}
	}
	return found, err
}

// synthesize runs the synthesis tool and returns what it printed.
func (l *lab) synthesize(ctx context.Context, d deployment) (text string, err error) {
	args := []string{
		"app", "-way", "replay", "-config", filepath.Join(l.dir, d.name, configFile), "-lambdas", d.bootstraps, "-out", l.out(d),
	}
	if d.overlay != "" {
		args = append(args, "-overlay", d.overlay)
	}
	cmd := exec.CommandContext(ctx, l.synth, args...)
	cmd.Dir = filepath.Join(l.root, "infra")
	cmd.Env = os.Environ()
	if !d.rules {
		cmd.Env = append(cmd.Env, "CDK_VALIDATION=false")
	}
	for name, url := range d.urls {
		cmd.Env = append(cmd.Env, name+"="+url)
	}
	output, err := cmd.CombinedOutput()
	return string(output), err
}

// stage says which part of the synthesis refused, by what the tool printed.
func stage(output string) string {
	switch {
	case strings.Contains(output, "synth: run the app:"):
		return "app"
	case !strings.Contains(output, "synth: cdk synth:"):
		return "compiler"
	case strings.Contains(output, "AwsSolutions-"):
		return "cdk-nag"
	case strings.Contains(output, "(CloudFormation Validate)"):
		return "default rules"
	}
	return "cdk synth"
}

// checkTemplate runs the checks of packages template and permissions, and the validators of the state machine.
func (l *lab) checkTemplate(ctx context.Context, given template.Given, out string) (found []caught, err error) {
	assembly, err := template.Load(out)
	if err != nil {
		return nil, err
	}
	d, err := template.New(assembly, given)
	if err != nil {
		return []caught{{"functions", err.Error()}}, nil
	}
	for _, f := range template.Run(d) {
		found = append(found, caught{f.Check, f.String()})
	}
	allowed, err := permissions.Compare(d.Sluice.Raw, l.calls, given.Config)
	if err != nil {
		return nil, err
	}
	for _, f := range allowed {
		found = append(found, caught{"permissions", "permissions: " + f.String()})
	}
	definitions, err := d.Definitions()
	if err != nil {
		return found, nil // The check machine has said so.
	}
	for _, definition := range definitions {
		problems, err := l.machines.validate(ctx, definition)
		if err != nil {
			return nil, err
		}
		for _, p := range problems {
			found = append(found, caught{"state language", "state language: " + p})
		}
	}
	return found, nil
}

// ignored are the rules of cfn-lint that do not hold here, with their reasons.
var ignored = map[string]string{
	"W3005": "the CDK writes DependsOn also where a reference says it already, which does no harm",
}

// lint runs cfn-lint over the templates of an assembly.
func (l *lab) lint(ctx context.Context, out string) (found []caught, err error) {
	templates, err := filepath.Glob(filepath.Join(out, "*.template.json"))
	if err != nil {
		return nil, err
	}
	args := append([]string{"--format", "parseable", "--non-zero-exit-code", "none"}, "--template")
	args = append(args, templates...)
	for rule := range ignored {
		args = append(args, "--ignore-checks", rule)
	}
	cmd := exec.CommandContext(ctx, l.cfnLint, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("run cfn-lint: %w\n%s", err, stderr.Bytes())
	}
	for line := range strings.Lines(stdout.String()) {
		found = append(found, caught{"cfn-lint", "cfn-lint: " + strings.TrimSpace(strings.TrimPrefix(line, out+"/"))})
	}
	return found, nil
}

// machines holds state machines to the two public validators. Most deployments have the same one, so that each is looked at once.
type machines struct {
	root  string
	mu    sync.Mutex
	known map[string][]string
}

// node is the program that stepfunctions pins for its checks.
func (m *machines) node() string {
	return filepath.Join(m.root, "lab", "engines", "node_modules", "node", "bin", "node")
}

func (m *machines) validate(ctx context.Context, definition string) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if problems, ok := m.known[definition]; ok {
		return problems, nil
	}
	in, err := json.Marshal([]string{definition})
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, m.node(), filepath.Join("..", "lab", "engines", "validate.mjs"))
	cmd.Dir = filepath.Join(m.root, "stepfunctions")
	cmd.Stdin = bytes.NewReader(in)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("validate the state machine: %w\n%s", err, stderr.Bytes())
	}
	var results []struct {
		Validator       []string `json:"validator"`
		LanguageService []string `json:"language_service"`
	}
	if err := json.Unmarshal(stdout.Bytes(), &results); err != nil || len(results) != 1 {
		return nil, fmt.Errorf("validate the state machine: read %.200q: %w", stdout.Bytes(), err)
	}
	m.known[definition] = slices.Concat(results[0].Validator, results[0].LanguageService)
	return m.known[definition], nil
}
