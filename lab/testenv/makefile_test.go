package testenv

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// An installation that was cut off, too soon for anything to be tidied up, is not taken for complete: the next make
// begins it anew.
func TestInstallationIsWholeOrBegunAnew(t *testing.T) {
	bin, err := exec.LookPath("make")
	if err != nil {
		Missing(t, "make", "install GNU make")
	}
	// What stands in for Python, its pip and npm makes its folder, with something in it. Where the file cut is it
	// kills what runs it, and ends.
	const install = "#!/bin/sh\nset -e\necho $0 >>$LAB/ran\nmkdir -p \"$into\"\n: >\"$into\"/some\nif [ -e $LAB/cut ]; then kill -9 $PPID; exit 1; fi\n"
	python := strings.Replace(install, "set -e\n", "set -e\ninto=$3/bin\n", 1) + "cp $LAB/pip $3/bin/pip\n"
	pip := strings.Replace(install, "set -e\n", "set -e\ninto=$(dirname $0)/../lib\n", 1)
	npm := strings.Replace(install, "set -e\n", "set -e\ninto=node_modules\nrm -rf $into\n", 1) + ": >node_modules/.package-lock.json\n"
	for _, c := range []struct {
		target string
		cut    string // Which of them is cut off.
	}{
		{"build/venv", "python"},
		{"build/venv", "pip"},
		{"build/venv-demo", "pip"},
		{"build/venv-infra", "pip"},
		{"build/venv-celery-5.2", "pip"},
		{"infra/node_modules", "npm"},
		{"lab/engines/node_modules", "npm"},
	} {
		t.Run(c.target+" cut off in "+c.cut, func(t *testing.T) {
			lab := t.TempDir()
			makefile, err := os.ReadFile(filepath.Join(Root(), "Makefile"))
			if err != nil {
				t.Fatal(err)
			}
			put(t, filepath.Join(lab, "Makefile"), string(makefile))
			for _, file := range []string{
				"lab/testenv/requirements.txt", "examples/shop/requirements.txt", "infra/requirements.txt",
				"internal/celery/testdata/compat/requirements-5.2.txt", "infra/package-lock.json", "lab/engines/package-lock.json",
				"cmd/x", "lambdas/x", "trigger/x",
			} {
				put(t, filepath.Join(lab, file), "")
			}
			run := func(cut bool) (ran int, err error) {
				for name, script := range map[string]string{"python": python, "pip": pip, "npm": npm} {
					if !cut || name != c.cut {
						script = strings.Replace(script, "$LAB/cut", "$LAB/never", 1)
					}
					put(t, filepath.Join(lab, name), script)
				}
				cmd := exec.Command(bin, "PYTHON="+filepath.Join(lab, "python"), c.target)
				cmd.Dir = lab
				cmd.Env = append(os.Environ(), "LAB="+lab, "PATH="+lab+":"+os.Getenv("PATH"), "MAKEFLAGS=", "MAKELEVEL=")
				out, err := cmd.CombinedOutput()
				t.Logf("cut off: %t: %v\n%s", cut, err, out)
				log, _ := os.ReadFile(filepath.Join(lab, "ran"))
				return strings.Count(string(log), "\n"), err
			}
			put(t, filepath.Join(lab, "cut"), "")
			begun, err := run(true)
			if err == nil || begun == 0 {
				t.Fatalf("cut off: %v after %d programs, want an error", err, begun)
			}
			if _, err := os.Stat(filepath.Join(lab, c.target)); err != nil {
				t.Fatalf("what is tested is a folder that is left half filled: %v", err)
			}
			again, err := run(false)
			if err != nil || again == begun {
				t.Fatalf("again: %v, %d programs run, want it to be begun anew", err, again-begun)
			}
			if then, err := run(false); err != nil || then != again {
				t.Errorf("then: %v, %d programs run, want none, since all is there", err, then-again)
			}
		})
	}
}

func put(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o755); err != nil {
		t.Fatal(err)
	}
}
