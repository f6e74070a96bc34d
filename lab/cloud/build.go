package cloud

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// BuildFunctions builds the Lambda functions of the checkout at root as `make lambdas` does, but for this machine, each to
// dir/NAME/bootstrap. What a test finds there is never stale; what `make build` has left under build/ may be.
func BuildFunctions(root, dir string) error {
	bin := filepath.Join(dir, "bin") + string(filepath.Separator)
	names := []string{ScaleOut, Check, ScaleIn, Notify}
	args := []string{"build", "-trimpath", "-buildvcs=false", "-tags", "lambda.norpc", "-ldflags", "-s -w", "-o", bin}
	for _, name := range names {
		args = append(args, "sluice/lambdas/"+name)
	}
	cmd := exec.Command("go", args...)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build the functions: %w\n%s", err, out)
	}
	for _, name := range names {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o755); err != nil {
			return fmt.Errorf("make a folder for a function: %w", err)
		}
		if err := os.Rename(bin+name, filepath.Join(dir, name, "bootstrap")); err != nil {
			return fmt.Errorf("move function %s: %w", name, err)
		}
	}
	return os.Remove(bin)
}
