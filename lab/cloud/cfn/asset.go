package cfn

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"

	"sluice/internal/config"
)

// codeOf is the folder of a function's code: an asset of the CDK, beside the template. It has to hold the configuration, or one
// that means the same at run time.
func (r *reader) codeOf(key string) (string, error) {
	dir, err := filepath.Abs(filepath.Join(r.dir, "asset."+strings.TrimSuffix(key, ".zip")))
	if err != nil {
		return "", err
	}
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return "", fmt.Errorf("its code, the folder %s, is not beside the template: synthesize it anew", filepath.Base(dir))
	}
	deployed, err := config.Load(filepath.Join(dir, "sluice.yaml"))
	if err != nil {
		return "", fmt.Errorf("its code: %w", err)
	}
	if !reflect.DeepEqual(runtime(deployed), runtime(r.config)) {
		return "", fmt.Errorf("its code was synthesized with another configuration than the one of %s: synthesize it anew", r.config.Dir)
	}
	return dir, nil
}

// runtime is what of a configuration the functions go by.
func runtime(c *config.Config) config.Config {
	short := *c
	short.Deploy, short.Local, short.Dir = config.Deploy{}, config.Local{}, ""
	return short
}
