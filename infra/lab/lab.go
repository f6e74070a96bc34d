// Package lab synthesizes the app in many configurations, in the test's process, and plants faults in what comes of it.
//
// It is for the tests of the constructs, which hold each template to what Sluice promises of it. Their checks are functions
// that run with a *testing.T on a sound template, and with a Recorder on one with a fault, which they have to find.
package lab

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/assertions"
	"github.com/aws/jsii-runtime-go"
	"github.com/cdklabs/cdk-nag-go/cdknag/v2"

	"sluice/infra/sluicecdk"
	"sluice/infra/stacks"
	"sluice/internal/config"
	"sluice/lab/cloud/cfn/template"
	"sluice/stepfunctions"
)

// Main runs the tests of a package, with all that they leave behind in a folder that goes with them.
func Main(m *testing.M) {
	dir, err := os.MkdirTemp("", "sluice-infra-")
	if err != nil {
		panic(err)
	}
	if err := os.Setenv("TMPDIR", dir); err != nil {
		panic(err)
	}
	code := m.Run()
	jsii.Close()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// T is the part of testing.T that checks use.
type T interface {
	Helper()
	Errorf(format string, args ...any)
}

// Recorder is the T of a template that has a fault: it keeps what was found.
type Recorder struct{ Found []string }

// Helper satisfies T.
func (*Recorder) Helper() {}

// Errorf notes a finding.
func (r *Recorder) Errorf(format string, args ...any) {
	r.Found = append(r.Found, fmt.Sprintf(format, args...))
}

// Deployment is a synthesized app with what it was made from.
type Deployment struct {
	Variant string
	Dir     string // The cloud assembly.
	Stacks  []*Stack
	Sluice  *Stack // The one with the functions.

	Config     *config.Config
	Bootstraps string            // The folder of the functions' programs.
	Definition string            // The state machine with its placeholders.
	URLs       map[string]string // The values of the variables that brokers name in url_env.
	Secrets    []string          // Texts of the configuration that may be nowhere in what is synthesized.

	Messages []string // What the CDK and cdk-nag find fault with.
}

// Stack is one stack of an assembly: its template, in which references are texts.
type Stack struct {
	Name string
	File string // Of its template.
	Text []byte
	*template.Template
	Assets map[string]string // The folders of the code, by S3 key.

	asserted assertions.Template
}

// Synth synthesizes a variant, once in a process.
func Synth(variant string) (*Deployment, error) {
	known.Lock()
	defer known.Unlock()
	if d := known.made[variant]; d != nil {
		return d, nil
	}
	i := slices.IndexFunc(Variants, func(v Variant) bool { return v.Name == variant })
	if i < 0 {
		return nil, fmt.Errorf("there is no variant %q", variant)
	}
	d, err := Variants[i].Synth(nil)
	if err == nil {
		known.made[variant] = d
	}
	return d, err
}

var known = struct {
	sync.Mutex
	made map[string]*Deployment
}{made: map[string]*Deployment{}}

// Synth synthesizes the variant as `cdk synth --strict` does, with the CDK's own validation rules, and with cdk-nag
// looking on. change may change the app before.
func (v Variant) Synth(change func(awscdk.App, sluicecdk.Sluice)) (d *Deployment, err error) {
	dir, err := os.MkdirTemp("", "synth-")
	if err != nil {
		return nil, err
	}
	d = &Deployment{
		Variant: v.Name, Dir: filepath.Join(dir, "cdk.out"), Bootstraps: filepath.Join(dir, "bootstraps"),
		Definition: stepfunctions.ScaleIn, URLs: v.urls, Secrets: v.secrets,
	}
	path := filepath.Join(dir, "sluice.yaml")
	if err := errors.Join(v.write(dir), writeBootstraps(d.Bootstraps)); err != nil {
		return nil, err
	}
	if d.Config, err = config.Load(path); err != nil {
		return nil, err
	}
	settings, err := context()
	if err != nil {
		return nil, err
	}
	defer func() { // jsii panics with what JavaScript throws.
		if p := recover(); p != nil {
			err = fmt.Errorf("synthesize %s: %v", v.Name, p)
		}
	}()
	urls := map[string]*string{}
	for name, url := range v.urls {
		urls[name] = &url
	}
	app := awscdk.NewApp(&awscdk.AppProps{Outdir: &d.Dir, Context: &settings, AnalyticsReporting: jsii.Bool(false)})
	s := stacks.Make(app, d.Config, &sluicecdk.SluiceProps{Config: &path, Functions: &d.Bootstraps, Environment: &urls})
	if change != nil {
		change(app, s)
	}
	awscdk.Aspects_Of(app).Add(cdknag.NewAwsSolutionsChecks(&cdknag.NagPackProps{Reports: jsii.Bool(false)}), nil)
	for _, made := range *app.Synth(nil).Stacks() {
		stack, err := readStack(*made.StackName(), d.Dir, *made.TemplateFile())
		if err != nil {
			return nil, err
		}
		d.Stacks = append(d.Stacks, stack)
		if err := d.hear(*made.TemplateFile()); err != nil {
			return nil, err
		}
	}
	d.Sluice = d.Stacks[len(d.Stacks)-1] // It depends on the other.
	return d, nil
}

// context is that of cdk.json, by which cdk-nag's findings are not those of the CDK.
func context() (map[string]any, error) {
	_, here, _, _ := runtime.Caller(0)
	data, err := os.ReadFile(filepath.Join(filepath.Dir(here), "..", "cdk.json"))
	if err != nil {
		return nil, err
	}
	var file struct{ Context map[string]any }
	if err := json.Unmarshal(data, &file); err != nil {
		return nil, err
	}
	file.Context["@aws-cdk/core:annotationsInValidationReport"] = false
	return file.Context, nil
}

// hear reads what the CDK warns of and cdk-nag finds fault with, less what is answered at its construct or around it by
// the CDK's own means (Validations.Acknowledge), which the Go edition of cdk-nag does not look at.
func (d *Deployment) hear(file string) error {
	data, err := os.ReadFile(filepath.Join(d.Dir, strings.Replace(file, ".template.json", ".metadata.json", 1)))
	if err != nil {
		return err
	}
	var said map[string][]struct { // By the construct's path.
		Type string
		Data any
	}
	if err := json.Unmarshal(data, &said); err != nil {
		return err
	}
	answered := func(path, finding string) bool {
		for ; path != ""; path = path[:strings.LastIndexByte(path, '/')] {
			for _, e := range said[path] {
				rules, _ := e.Data.(map[string]any)
				if e.Type == "aws:cdk:acknowledged-rules" && rules["Annotation::"+finding] != nil {
					return true
				}
			}
		}
		return false
	}
	for _, path := range slices.Sorted(maps.Keys(said)) {
		for _, e := range said[path] {
			text := fmt.Sprint(e.Data)
			finding, _, _ := strings.Cut(text, ": ") // As cdk-nag writes them.
			if (e.Type == "aws:cdk:warning" || e.Type == "aws:cdk:error") && !answered(path, finding) {
				d.Messages = append(d.Messages, path+": "+text)
			}
		}
	}
	return nil
}

func readStack(name, dir, file string) (*Stack, error) {
	text, err := os.ReadFile(filepath.Join(dir, file))
	if err != nil {
		return nil, err
	}
	s := &Stack{Name: name, File: file, Assets: map[string]string{}}
	if err := s.parse(text); err != nil {
		return nil, fmt.Errorf("read %s: %w", file, err)
	}
	data, err := os.ReadFile(filepath.Join(dir, strings.Replace(file, ".template.json", ".assets.json", 1)))
	if err != nil {
		return nil, err
	}
	var assets struct {
		Files map[string]struct {
			Source       struct{ Path, Packaging string }
			Destinations map[string]struct{ ObjectKey string }
		}
		DockerImages map[string]any
	}
	if err := json.Unmarshal(data, &assets); err != nil {
		return nil, err
	}
	if len(assets.DockerImages) > 0 {
		return nil, fmt.Errorf("read the assets of %s: it has an image to build, for which a deployment would need Docker", file)
	}
	for _, f := range assets.Files {
		for _, to := range f.Destinations {
			if f.Source.Packaging == "zip" {
				s.Assets[to.ObjectKey] = filepath.Join(dir, f.Source.Path)
			}
		}
	}
	return s, nil
}

func (s *Stack) parse(text []byte) error {
	read, err := template.Parse(text)
	if err != nil {
		return err
	}
	s.Text, s.asserted = text, nil
	s.Template, err = read.Symbolic()
	return err
}

// functions are the folders of the functions' programs.
var functions = []string{"scaleout", "check", "scalein", "notify"}

// writeBootstraps writes the head of a static program for arm64 for each function, each another one.
func writeBootstraps(dir string) error {
	for _, name := range functions {
		var b bytes.Buffer
		header := elf.Header64{
			Type: uint16(elf.ET_EXEC), Machine: uint16(elf.EM_AARCH64), Version: uint32(elf.EV_CURRENT),
			Phoff: 64, Ehsize: 64, Phentsize: 56, Phnum: 1, Shentsize: 64,
		}
		copy(header.Ident[:], elf.ELFMAG)
		header.Ident[elf.EI_CLASS] = byte(elf.ELFCLASS64)
		header.Ident[elf.EI_DATA] = byte(elf.ELFDATA2LSB)
		header.Ident[elf.EI_VERSION] = byte(elf.EV_CURRENT)
		err := errors.Join(
			binary.Write(&b, binary.LittleEndian, header), binary.Write(&b, binary.LittleEndian, elf.Prog64{Type: uint32(elf.PT_LOAD)}))
		b.WriteString(name)
		if err := errors.Join(err, write(filepath.Join(dir, name, "bootstrap"), b.Bytes())); err != nil {
			return err
		}
	}
	return nil
}

func write(path string, data []byte) error {
	return errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, data, 0o644))
}

// write writes the files of the variant.
func (v Variant) write(dir string) error {
	var errs []error
	for name, text := range maps.All(v.files) {
		errs = append(errs, write(filepath.Join(dir, filepath.FromSlash(name)), []byte(text)))
	}
	return errors.Join(append(errs, write(filepath.Join(dir, "sluice.yaml"), []byte(v.config)))...)
}
