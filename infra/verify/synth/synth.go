package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"sluice/infra/verify/twins"
)

type synth struct {
	root    string // the project's
	dir     string // the app's folder: infra, but for tests
	build   string // the folder for what it makes on the way
	way     string
	config  string
	lambdas string
	out     string
	overlay string
	log     *log.Logger
}

func (s *synth) nodeModules() string { return filepath.Join(s.root, "infra", "node_modules") }

// types writes the twins and a go.work that puts them in the place of the CDK's modules.
func (s *synth) types(work string) error {
	if err := s.installed(); err != nil {
		return err
	}
	modules, err := twins.Generate(twins.Options{
		App:         s.dir,
		NodeModules: s.nodeModules(),
		Overlay:     s.overlay,
		Out:         filepath.Join(work, "twins"),
		Cache:       s.build,
	})
	if err != nil {
		return err
	}
	return s.workspace(work, modules)
}

// installed compares what npm has installed with what the app's go.mod pins.
func (s *synth) installed() error {
	goMod, err := os.ReadFile(filepath.Join(s.dir, "go.mod"))
	if err != nil {
		return err
	}
	for npm, module := range map[string]string{"aws-cdk-lib": awscdk, "constructs": constructs} {
		content, err := os.ReadFile(filepath.Join(s.nodeModules(), npm, "package.json"))
		if errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("infra/node_modules has no %s: run `npm ci --prefix infra` first", npm)
		} else if err != nil {
			return err
		}
		var pkg struct{ Version string }
		if err := json.Unmarshal(content, &pkg); err != nil {
			return err
		}
		if !strings.Contains(string(goMod), module+" v"+pkg.Version+"\n") {
			return fmt.Errorf("infra/node_modules has %s %s, infra/go.mod another %s: run `npm ci --prefix infra`, "+
				"and pin the same version in both", npm, pkg.Version, module)
		}
	}
	return nil
}

const (
	awscdk     = "github.com/aws/aws-cdk-go/awscdk/v2"
	constructs = "github.com/aws/constructs-go/constructs/v10"
)

// workspace writes a go.work that puts the twins in the place of the CDK's modules, with the sums of what the project uses.
func (s *synth) workspace(work string, modules []twins.Module) error {
	app, err := filepath.Rel(work, s.dir)
	if err != nil {
		return err
	}
	b := fmt.Sprintf("go 1.26.0\n\nuse %s\n", filepath.ToSlash(app))
	for _, m := range modules {
		b += fmt.Sprintf("\nreplace %s => ./twins/%s\n", m.Path, m.Dir)
	}
	sums, err := os.ReadFile(filepath.Join(s.root, "go.sum"))
	if err != nil {
		return err
	}
	if err := twins.WriteFile(filepath.Join(work, "go.work.sum"), string(sums)); err != nil {
		return err
	}
	return twins.WriteFile(filepath.Join(work, "go.work"), b)
}

// app makes the template in the way asked for, and says which. It is made in a folder of its own, and appears at out
// only when it is complete: what was refused or cut off is never taken for a template, and stands in nobody's way the
// next time.
func (s *synth) app() (err error) {
	switch s.way {
	case "auto", "cdk", "replay":
	default:
		return fmt.Errorf("-way %s: it is auto, cdk or replay", s.way)
	}
	if err := s.clear(); err != nil {
		return err
	}
	if err := os.MkdirAll(s.work(), 0o755); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(s.work())) }()
	if err := s.synthesize(); err != nil {
		if _, unmade := os.Stat(filepath.Join(s.made(), "manifest.json")); unmade == nil {
			s.log.Print("what was refused is in ", s.refused())
			err = errors.Join(err, os.Rename(s.made(), s.refused()))
		}
		return err
	}
	if err := os.Rename(s.made(), s.out); err != nil {
		return err
	}
	s.log.Print("wrote ", s.out)
	return nil
}

// The folders beside out: where everything is made, and a template that was refused at the end.
func (s *synth) work() string    { return s.out + ".work" }
func (s *synth) made() string    { return filepath.Join(s.work(), "cdk.out") }
func (s *synth) refused() string { return s.out + ".refused" }

// synthesize replays the app in any case: cdk-nag looks on there alone. Where the CDK's Go modules can be had the
// template is theirs.
func (s *synth) synthesize() error {
	if err := s.replay(); err != nil {
		return err
	}
	switch {
	case s.way == "replay":
		return nil
	case s.way == "auto" && (s.overlay != "" || !s.modulesServed()):
		s.log.Print("the CDK's Go modules cannot be had here: the template is that of the replay")
		return nil
	}
	return s.cdk()
}

// modulesServed asks whether the CDK's Go modules can be had here.
func (s *synth) modulesServed() bool {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	goMod, err := os.ReadFile(filepath.Join(s.dir, "go.mod"))
	if err != nil {
		return false
	}
	for _, module := range []string{awscdk, constructs} {
		_, after, _ := strings.Cut(string(goMod), module+" ")
		version, _, _ := strings.Cut(after, "\n")
		cmd := exec.CommandContext(ctx, "go", "list", "-m", module+"@"+version)
		cmd.Dir = os.TempDir() // Outside of every module.
		if cmd.Run() != nil {
			return false
		}
	}
	return true
}

func (s *synth) cdk() error {
	s.log.Print("by the CDK's Go modules, as cdk.json has it")
	if err := os.RemoveAll(s.made()); err != nil { // The replay's.
		return err
	}
	return s.cli([]string{"GOWORK=off"}) // A go.work above the project knows nothing of infra.
}

func (s *synth) replay() error {
	s.log.Print("under cdk-nag: recorded from the app, replayed on aws-cdk-lib (infra/verify/README.md)")
	app, record, assets, work := s.in("app"), s.in("record.jsonl"), s.in("assets"), s.build
	if err := os.MkdirAll(assets, 0o755); err != nil {
		return err
	}
	// It is run once, and nobody debugs it: without symbols it is linked sooner.
	build := []string{"build", "-trimpath", "-ldflags=-s -w", "-o", app}
	if s.overlay != "" {
		// It may name other things of the API than the app does, so it gets twins of its own.
		work, build = s.work(), append(build, "-overlay", s.overlay)
	}
	if err := s.types(work); err != nil {
		return err
	}
	if err := s.command([]string{"GOWORK=" + filepath.Join(work, "go.work")}, "go", append(build, ".")...); err != nil {
		return fmt.Errorf("compile the app: %w", err)
	}
	// The CDK's command line would tell the app its output folder, too: it may put there what it makes for assets.
	if err := s.command([]string{"SLUICE_TWINS_RECORD=" + record, "CDK_OUTDIR=" + assets}, app); err != nil {
		return fmt.Errorf("run the app: %w", err)
	}
	replayer, err := filepath.Rel(s.dir, filepath.Join(s.root, "infra", "verify", "replay", "replay.js"))
	if err != nil {
		return err
	}
	return s.cli(nil, "--app", fmt.Sprintf("node %s %q %q", fast, replayer, record))
}

func (s *synth) in(name string) string { return filepath.Join(s.work(), name) }

// CloudFormation's rules are a WebAssembly program that V8 would optimize for seconds, to run it once. Not to do so
// saves two thirds of the time that a synthesis takes.
const fast = "--single-threaded --liftoff-only"

// cli runs the CDK's command line. What it can find fault with is an error.
func (s *synth) cli(env []string, app ...string) error {
	args := append([]string{
		"synth", "--quiet", "--strict", "--lookups=false", "--no-notices", "--output", s.made(),
		"--context", "@aws-cdk/core:validateAgainstDefaultRules=true",
	}, app...)
	if err := s.command(env, filepath.Join(s.nodeModules(), ".bin", "cdk"), args...); err != nil {
		return fmt.Errorf("cdk synth: %w", err)
	}
	return nil
}

// clear removes what an earlier synthesis has left, and nothing else. All below the build folder is ours.
func (s *synth) clear() error {
	entries, err := os.ReadDir(s.out)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	ours := strings.HasPrefix(s.out, s.build+string(filepath.Separator))
	if _, err := os.Stat(filepath.Join(s.out, "cdk.out")); err != nil && len(entries) > 0 && !ours {
		return fmt.Errorf("-out %s: it has files which are not of the CDK: name a new or empty folder", s.out)
	}
	return errors.Join(os.RemoveAll(s.out), os.RemoveAll(s.refused()), os.RemoveAll(s.work()))
}

// command runs a program in the app's folder, with its output on ours.
func (s *synth) command(env []string, name string, args ...string) error {
	cmd := exec.Command(name, args...)
	cmd.Dir = s.dir
	cmd.Env = append(os.Environ(), "CDK_DISABLE_CLI_TELEMETRY=true")
	cmd.Env = append(cmd.Env, env...)
	if s.config != "" {
		cmd.Env = append(cmd.Env, "SLUICE_CONFIG="+s.config)
	}
	if s.lambdas != "" {
		cmd.Env = append(cmd.Env, "SLUICE_LAMBDAS="+s.lambdas)
	}
	cmd.Stdout, cmd.Stderr = s.log.Writer(), s.log.Writer()
	return cmd.Run()
}
