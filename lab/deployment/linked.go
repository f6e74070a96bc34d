package deployment

import (
	"debug/elf"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
)

// Build builds a function of the project at root as it ships, at bootstrap.
func Build(root, function, bootstrap string) error {
	build := exec.Command("go", "build", "-trimpath", "-tags", buildTags, "-ldflags", "-s -w", "-o", bootstrap, "./lambdas/"+function)
	build.Dir, build.Env = root, append(os.Environ(), goos, goarch, noCgo)
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w\n%s", function, err, out)
	}
	return nil
}

// stacks matches the names of the methods by which an SDK's client sets up the calls of one operation each.
var stacks = regexp.MustCompile(`aws-sdk-go-v2/service/([a-z0-9]+)\.\(\*Client\)\.addOperation(\w+)Middlewares\x00`)

// Linked returns the operations of AWS that are in the binary of a function, sorted. The linker drops what cannot be reached from
// main, in the way that Calls finds it, but knows of package reflect: where a program calls methods by names that are
// not constant, it keeps all of them.
func Linked(bootstrap string) ([]string, error) {
	file, err := elf.Open(bootstrap)
	if err != nil {
		return nil, fmt.Errorf("read the functions' names: %w", err)
	}
	defer func() { _ = file.Close() }() // It was only read.
	// The table for stack traces has all names, and stays in a stripped binary.
	section := file.Section(".gopclntab")
	if section == nil {
		return nil, fmt.Errorf("read the functions' names: %s has no .gopclntab: build it with Go", bootstrap)
	}
	table, err := section.Data()
	if err != nil {
		return nil, fmt.Errorf("read the functions' names: %w", err)
	}
	var operations []string
	for _, m := range stacks.FindAllSubmatch(table, -1) {
		operations = append(operations, string(m[1])+"."+string(m[2]))
	}
	slices.Sort(operations)
	return slices.Compact(operations), nil
}
