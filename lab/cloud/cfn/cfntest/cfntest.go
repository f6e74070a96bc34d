// Package cfntest has templates as infra synthesizes them, for tests that run where there is no Node.js to synthesize them.
//
// They are kept in a short form: without the properties of what is not run, with the names of the functions in place of their
// assets' hashes, and without the definition of the state machine, which is a file of its own. The tests of package cfn hold
// them to what is synthesized.
package cfntest

import (
	"embed"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sluice/lab/testenv"
	"sluice/stepfunctions"
)

//go:embed testdata
var files embed.FS

// Dir is the folder of the templates in their short form, from the root of the checkout.
const Dir = "lab/cloud/cfn/cfntest/testdata"

// Definition stands for the definition of the state machine in the short form.
const Definition = "scalein.asl.json"

// Names are the names of the templates, each with its configuration.
var Names = []string{"shop", "spread"}

// Config is the path of a template's configuration.
func Config(name string) string {
	if name == "shop" {
		return filepath.Join(testenv.Root(), "examples", "shop", "sluice.yaml")
	}
	return filepath.Join(testenv.Root(), Dir, name+".yaml")
}

// Template is a template in its short form.
func Template(tb testing.TB, name string) []byte {
	tb.Helper()
	text, err := files.ReadFile("testdata/" + name + ".template.json")
	if err != nil {
		tb.Fatal(err)
	}
	return text
}

// Place writes a template out of its short form into a folder of its own, with its assets less the bootstraps, as the CDK lays them.
// It returns the path of the template.
func Place(tb testing.TB, short []byte, configPath string) string {
	tb.Helper()
	dir := tb.TempDir()
	write := func(path string, data []byte) {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			tb.Fatal(err)
		}
	}
	config, err := os.ReadFile(configPath)
	if err != nil {
		tb.Fatal(err)
	}
	for _, name := range []string{"scaleout", "check", "scalein", "notify"} {
		asset := filepath.Join(dir, "asset."+name)
		if err := os.Mkdir(asset, 0o700); err != nil {
			tb.Fatal(err)
		}
		write(filepath.Join(asset, "sluice.yaml"), config)
	}
	definition, err := json.Marshal(stepfunctions.ScaleIn)
	if err != nil {
		tb.Fatal(err)
	}
	path := filepath.Join(dir, "Sluice.template.json")
	write(path, []byte(strings.Replace(string(short), `"`+Definition+`"`, string(definition), 1)))
	return path
}

// Shop places the template of the shop and returns its path.
func Shop(tb testing.TB) string {
	tb.Helper()
	return Place(tb, Template(tb, "shop"), Config("shop"))
}
