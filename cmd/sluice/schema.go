package main

import (
	"github.com/spf13/cobra"

	"sluice/internal/config/schema"
)

func schemaCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of sluice.yaml, for completion in editors",
		Long: "Prints the JSON Schema of sluice.yaml. Editors that know it complete fields, show what they mean, and mark what is wrong " +
			"while you type.",
		Example:     "  sluice schema > sluice.schema.json\n  sed -i '1i # yaml-language-server: $schema=sluice.schema.json' sluice.yaml",
		Args:        cobra.NoArgs,
		Annotations: map[string]string{oneForm: "JSON"},
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := cmd.OutOrStdout().Write(schema.JSON)
			return err
		},
	}
}
