package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// options are what somebody asked for.
type options struct {
	packages []string
	only     func(key string) bool
	jobs     int
	under    time.Duration
	seeds    int
}

// survey is the rewritten packages, and the tests that have been built of them.
type survey struct {
	options
	dir     string
	mutants []mutant
	tests   []*test
	sim     string // The simulator's binary; "" if it is not asked.
}

// test is one test function, in a binary of its package.
type test struct {
	binary, dir, name string
	took              time.Duration
	reached           map[int]bool
}

// listed is what `go list` says of a package.
type listed struct {
	ImportPath, Export, Dir string
	GoFiles                 []string
	Match                   []string // The arguments that it was asked for by.
}

// build rewrites the packages, and builds their tests and the simulator.
func build(ctx context.Context, dir string, o options) (*survey, error) {
	list := []string{"list", "-export", "-deps", "-json=ImportPath,Export,Dir,GoFiles,Match"}
	text, err := command(ctx, "go", append(list, o.packages...)...)
	if err != nil {
		return nil, err
	}
	exports := map[string]string{}
	var ours []listed
	for dec := json.NewDecoder(bytes.NewReader(text)); ; {
		var p listed
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, fmt.Errorf("read the list of packages: %w", err)
		}
		exports[p.ImportPath] = p.Export
		if len(p.Match) > 0 {
			ours = append(ours, p)
		}
	}
	root, err := command(ctx, "go", "list", "-m", "-f", "{{.Dir}}")
	if err != nil {
		return nil, err
	}
	s := &survey{options: o, dir: dir}
	overlay, err := s.rewrite(ours, exports, string(bytes.TrimSpace(root)))
	if err != nil {
		return nil, err
	}
	for _, p := range ours {
		if err := s.buildTests(ctx, p, overlay); err != nil {
			return nil, err
		}
	}
	if o.seeds > 0 {
		s.sim = filepath.Join(dir, "sim")
		if _, err := command(ctx, "go", "build", "-overlay", overlay, "-o", s.sim, "sluice/lab/sim/cmd"); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// rewrite writes the rewritten files, and returns the file that tells the compiler about them.
func (s *survey) rewrite(ours []listed, exports map[string]string, root string) (overlay string, err error) {
	fset := token.NewFileSet()
	w := &rewriter{fset: fset, consts: map[string]int{}, seen: map[string]int{}, ours: func(path string) bool {
		return slices.ContainsFunc(ours, func(p listed) bool { return p.ImportPath == path })
	}}
	imports := importer.ForCompiler(fset, "gc", func(path string) (io.ReadCloser, error) { return os.Open(exports[path]) })
	replaced := map[string]string{}
	for _, p := range ours {
		var files []*ast.File
		texts := map[*ast.File][]byte{}
		for _, name := range p.GoFiles {
			src, err := os.ReadFile(filepath.Join(p.Dir, name))
			if err != nil {
				return "", err
			}
			f, err := parser.ParseFile(fset, filepath.Join(p.Dir, name), src, parser.ParseComments|parser.SkipObjectResolution)
			if err != nil {
				return "", err
			}
			files, texts[f] = append(files, f), src
		}
		info := &types.Info{
			Types: map[ast.Expr]types.TypeAndValue{}, Defs: map[*ast.Ident]types.Object{}, Uses: map[*ast.Ident]types.Object{},
		}
		pkg, err := (&types.Config{Importer: imports}).Check(p.ImportPath, fset, files, info)
		if err != nil {
			return "", err
		}
		for _, f := range files {
			path := fset.Position(f.Pos()).Filename
			name, err := filepath.Rel(root, path)
			if err != nil {
				return "", err
			}
			if text := w.mutate(filepath.ToSlash(name), f, texts[f], pkg, info); text != nil {
				replaced[path] = filepath.Join(s.dir, strconv.Itoa(len(replaced))+".go")
				if err := os.WriteFile(replaced[path], text, 0o600); err != nil {
					return "", err
				}
			}
		}
	}
	s.mutants = w.mutants
	list, err := json.Marshal(map[string]any{"Replace": replaced})
	if err != nil {
		return "", err
	}
	overlay = filepath.Join(s.dir, "overlay.json")
	return overlay, os.WriteFile(overlay, list, 0o600)
}

// buildTests builds the tests of a package, and lists them.
func (s *survey) buildTests(ctx context.Context, p listed, overlay string) error {
	binary := filepath.Join(s.dir, filepath.Base(p.ImportPath)+".test")
	if _, err := command(ctx, "go", "test", "-c", "-vet=off", "-overlay", overlay, "-o", binary, p.ImportPath); err != nil {
		return err
	}
	names, err := command(ctx, binary, "-test.list", "^(Test|Fuzz|Example)")
	if err != nil {
		return err
	}
	for _, name := range strings.Fields(string(names)) {
		s.tests = append(s.tests, &test{binary: binary, dir: p.Dir, name: name, reached: map[int]bool{}})
	}
	return nil
}

func command(ctx context.Context, name string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, stderr.Bytes())
	}
	return out, nil
}

// trace runs each test alone, without a fault, and notes which faults it reaches. One that fails so twice is left out: it
// would seem to find whatever is planted.
func (s *survey) trace(ctx context.Context, out io.Writer) error {
	for i, t := range s.tests {
		file := filepath.Join(s.dir, fmt.Sprintf("reached-%d", i))
		began := time.Now()
		passed, _ := execute(ctx, 10*time.Minute, []*test{t}, "MUTANTS_REACHED="+file)
		t.took = time.Since(began)
		if !passed {
			passed, _ = execute(ctx, 10*time.Minute, []*test{t}, "MUTANTS_REACHED="+file)
		}
		if !passed {
			say(out, "left out: %s fails without any fault\n", t.name)
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		for _, id := range strings.Fields(string(text)) {
			n, err := strconv.Atoi(id)
			if err != nil {
				return err
			}
			t.reached[n] = true
		}
	}
	slices.SortStableFunc(s.tests, func(a, b *test) int { return cmp.Compare(a.took, b.took) })
	for _, t := range s.tests {
		if t.took > s.under {
			say(out, "left out: %s takes %v\n", t.name, t.took.Round(time.Second))
		}
	}
	s.tests = slices.DeleteFunc(s.tests, func(t *test) bool { return t.took > s.under || len(t.reached) == 0 })
	return nil
}

// execute runs tests of one binary until one fails. late says that they did not end in time, which is a failure as
// well.
func execute(ctx context.Context, timeout time.Duration, tests []*test, env string) (passed, late bool) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var names []string
	for _, t := range tests {
		names = append(names, t.name)
	}
	cmd := exec.CommandContext(ctx, tests[0].binary, "-test.failfast", "-test.run", "^("+strings.Join(names, "|")+")$")
	cmd.Dir = tests[0].dir
	cmd.Env = append(os.Environ(), env, "RAPID_NOFAILFILE=1", "RAPID_SHRINKTIME=1ms")
	err := cmd.Run()
	return err == nil, ctx.Err() != nil
}

// result is what came of one fault.
type result struct {
	skipped bool // Nobody asked for it.
	found   bool
	late    bool   // The tests did not end.
	by      string // One of the tests that ran when it was found.
	tests   int    // How many tests it would have made a difference in.
}

func (r result) String() string {
	if r.tests == 0 {
		return "never reached"
	}
	return fmt.Sprintf("noticed by none of %d tests", r.tests)
}

// tryAll tries all faults, and says which are not as they should be.
func (s *survey) tryAll(ctx context.Context, out io.Writer, equivalent map[string]string) []result {
	results := make([]result, len(s.mutants))
	queue := make(chan int)
	var group sync.WaitGroup
	var mu sync.Mutex
	for range s.jobs {
		group.Go(func() {
			for i := range queue {
				m, r := s.mutants[i], s.try(ctx, s.mutants[i])
				results[i] = r
				mu.Lock()
				switch known := equivalent[m.key] != ""; {
				case r.found && known:
					say(out, "found by %s, though it stands in equivalent.txt\t%s\n", r.by, m.key)
				case r.late:
					say(out, "%s:%d the tests do not end\t%s\n", m.file, m.line, m.key)
				case !r.found && !known:
					say(out, "%s:%d %s\t%s\n", m.file, m.line, r, m.key)
				}
				mu.Unlock()
			}
		})
	}
	for i, m := range s.mutants {
		if ctx.Err() != nil || !s.only(m.key) {
			results[i].skipped = true
			continue
		}
		queue <- i
	}
	close(queue)
	group.Wait()
	return results
}

// try runs the tests that a fault would make a difference in, the quick ones first, and some at a time.
func (s *survey) try(ctx context.Context, m mutant) result {
	env := fmt.Sprintf("MUTANT=%d", m.id)
	var tests []*test
	for _, t := range s.tests {
		if t.reached[m.id] {
			tests = append(tests, t)
		}
	}
	r := result{tests: len(tests)}
	for len(tests) > 0 {
		var now, rest []*test
		var took time.Duration
		for _, t := range tests {
			if len(now) > 0 && (t.binary != now[0].binary || took+t.took > max(time.Second, now[0].took)) {
				rest = append(rest, t)
				continue
			}
			now, took = append(now, t), took+t.took
		}
		tests = rest
		if passed, late := execute(ctx, 10*time.Second+5*took, now, env); !passed {
			return result{found: true, late: late, by: now[0].name, tests: r.tests}
		}
	}
	if s.sim != "" {
		ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
		defer cancel()
		cmd := exec.CommandContext(ctx, s.sim, "-seeds", strconv.Itoa(s.seeds), "-stop-at-first", "-workers", "1", "-story", "0")
		cmd.Env = append(os.Environ(), env)
		if cmd.Run() != nil {
			return result{found: true, late: ctx.Err() != nil, by: "the simulator", tests: r.tests}
		}
	}
	return r
}
