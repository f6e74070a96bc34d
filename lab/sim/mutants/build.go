package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// builder builds the simulator, with and without a fault. Nothing in the checkout is touched: the compiler is told to read
// other files in the place of those that a mutant changes.
type builder struct {
	root string // Of the module.
	sim  string // The package of the simulator's command, as a path from root such as ./lab/sim/cmd.
	dir  string // For what is built.
}

// errUntouched is a mutant whose change is not in the simulator at all.
var errUntouched = errors.New("the binary is the same as without it: the simulator does not run what it changes")

// plain builds the simulator without a fault.
func (b builder) plain(ctx context.Context) (string, error) {
	binary := filepath.Join(b.dir, "plain")
	return binary, b.build(ctx, binary)
}

// planted builds the simulator with the fault.
func (b builder) planted(ctx context.Context, m mutant) (string, error) {
	overlay, err := b.plant(m)
	if err != nil {
		return "", err
	}
	binary := filepath.Join(b.dir, m.Name)
	if err := b.build(ctx, binary, "-overlay", overlay); err != nil {
		return "", err
	}
	same, err := equal(binary, filepath.Join(b.dir, "plain"))
	if err == nil && same {
		err = errUntouched
	}
	return binary, err
}

// plant writes the files with the fault in them, and the file that tells the compiler about them, whose path it returns.
func (b builder) plant(m mutant) (overlay string, err error) {
	replaced := map[string]string{} // Paths of files to the paths of what stands in for them.
	for _, h := range m.Hunks {
		original, err := filepath.Abs(filepath.Join(b.root, filepath.FromSlash(h.File)))
		if err != nil {
			return "", err
		}
		from, again := replaced[original]
		if !again {
			from = original
			replaced[original] = filepath.Join(b.dir, fmt.Sprintf("%s-%d%s", m.Name, len(replaced), filepath.Ext(original)))
		}
		text, err := os.ReadFile(from)
		if err != nil {
			return "", err
		}
		changed, err := h.Apply(string(text))
		if err != nil {
			return "", err
		}
		if err := os.WriteFile(replaced[original], []byte(changed), 0o600); err != nil {
			return "", err
		}
	}
	list, err := json.Marshal(map[string]any{"Replace": replaced})
	if err != nil {
		return "", err
	}
	overlay = filepath.Join(b.dir, m.Name+".json")
	return overlay, os.WriteFile(overlay, list, 0o600)
}

// build builds the same bytes from the same sources: no paths, no version, no build ID.
func (b builder) build(ctx context.Context, binary string, flags ...string) error {
	args := append([]string{"build", "-o", binary, "-trimpath", "-buildvcs=false", "-ldflags", "-s -w -buildid="}, flags...)
	cmd := exec.CommandContext(ctx, "go", append(args, b.sim)...)
	cmd.Dir = b.root
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w\n%s", b.sim, err, out)
	}
	return nil
}

func equal(a, b string) (bool, error) {
	first, err := os.ReadFile(a)
	if err != nil {
		return false, err
	}
	second, err := os.ReadFile(b)
	return bytes.Equal(first, second), err
}

// moduleRoot is the directory of the module that the working directory is in.
func moduleRoot(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return "", fmt.Errorf("find the module: %w", err)
	}
	return string(bytes.TrimSpace(out)), nil
}
