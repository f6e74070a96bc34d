package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// functions are the folders of the functions' bootstraps.
var functions = []string{"scaleout", "check", "scalein", "notify"}

// bootstrapsDir is the folder of the sound bootstraps. They are small programs, each another one: what the real ones do is no matter
// of the template, and they would be copied some hundred times.
func (l *lab) bootstrapsDir() string { return filepath.Join(l.dir, "bootstraps") }

// shippedDir is the folder of the programs that ship.
func (l *lab) shippedDir() string { return filepath.Join(l.root, "build", "lambda") }

func (l *lab) buildBootstraps(ctx context.Context) error {
	for _, name := range functions {
		if err := l.buildBootstrap(ctx, filepath.Join(l.bootstrapsDir(), name), name, "arm64"); err != nil {
			return err
		}
	}
	return nil
}

func (l *lab) buildBootstrap(ctx context.Context, dir, name, arch string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	source := filepath.Join(dir, name+".go")
	defer func() { _ = os.Remove(source) }()
	if err := os.WriteFile(source, []byte("package main\n\nfunc main() { println(\""+name+"\") }\n"), 0o644); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w -buildid=",
		"-o", filepath.Join(dir, "bootstrap"), source)
	cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH="+arch, "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build a bootstrap: %w\n%s", err, out)
	}
	return nil
}

// spoil makes a folder of bootstraps with one that is not sound, in the way named.
func (l *lab) spoil(ctx context.Context, dir, way string) error {
	for _, name := range functions {
		if err := copyFile(filepath.Join(l.bootstrapsDir(), name, "bootstrap"), filepath.Join(dir, name, "bootstrap")); err != nil {
			return err
		}
	}
	folder := filepath.Join(dir, "check")
	bootstrap := filepath.Join(folder, "bootstrap")
	switch way {
	case "x86":
		return l.buildBootstrap(ctx, folder, "check", "amd64")
	case "missing":
		return os.RemoveAll(folder)
	case "empty folder":
		return os.Remove(bootstrap)
	case "empty file":
		return os.WriteFile(bootstrap, nil, 0o755)
	case "script":
		return os.WriteFile(bootstrap, []byte("#!/bin/sh\necho Hello\n"), 0o755)
	}
	return fmt.Errorf("bootstraps: %q is none of x86, missing, empty folder, empty file and script", way)
}

func copyFile(from, to string) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	return os.WriteFile(to, data, 0o755)
}
