// Command gen writes sluice.schema.json and the tables of docs/config.md anew. `go generate ./internal/config/schema` runs it
// in the folder of package schema.
package main

import (
	"fmt"
	"os"

	"sluice/internal/config/schema"
)

func main() {
	if err := write(); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

func write() error {
	const types, page = "..", "../../../docs/config.md"
	text, err := schema.Generate(types)
	if err != nil {
		return err
	}
	if err := os.WriteFile("sluice.schema.json", text, 0o644); err != nil {
		return fmt.Errorf("write schema: %w", err)
	}
	old, err := os.ReadFile(page)
	if err != nil {
		return fmt.Errorf("read reference: %w", err)
	}
	reference, err := schema.Reference(string(old), types)
	if err != nil {
		return err
	}
	if err := os.WriteFile(page, []byte(reference), 0o644); err != nil {
		return fmt.Errorf("write reference: %w", err)
	}
	return nil
}
