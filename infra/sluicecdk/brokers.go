package sluicecdk

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"sluice/internal/config"
)

// brokerEnvironment returns the functions' environment: the URLs of the brokers that are to be taken from it. Whoever may look
// at a template, an asset or a function reads what stands in it, so that a password is refused here, wherever it comes from.
func brokerEnvironment(c *config.Config, given map[string]string) (map[string]string, error) {
	const remedy = "keep the URL in Secrets Manager (url_secret) or in a SecureString parameter (url_parameter)"
	environment := make(map[string]string)
	var problems []error
	for i, b := range c.Brokers {
		field := fmt.Sprintf("brokers[%d]", i)
		switch {
		case b.URL != "":
			if holdsPassword(b, b.URL.Reveal()) {
				problems = append(problems, fmt.Errorf("%s.url: holds a password, which would lie in plain text in an S3 bucket: %s", field, remedy))
			}
		case b.URLEnv != "":
			value := given[b.URLEnv]
			switch {
			case value == "":
				problems = append(problems, fmt.Errorf("%s.url_env: the deployment has no value for %s: set it in the environment of cdk or make "+
					"(from Go: in SluiceProps.Environment), or %s", field, b.URLEnv, remedy))
			case holdsPassword(b, value):
				problems = append(problems, fmt.Errorf("%s.url_env: %s holds a password, which would stand in plain text in the template: %s",
					field, b.URLEnv, remedy))
			case !unresolved(value):
				if _, err := b.Endpoint(value); err != nil {
					problems = append(problems, fmt.Errorf("%s.url_env: %s: %w", field, b.URLEnv, err))
				}
			}
			environment[b.URLEnv] = value
		}
	}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		if _, ok := environment[name]; !ok {
			problems = append(problems, fmt.Errorf(
				"SluiceProps.Environment: no broker takes its URL from %s (url_env): remove it, or correct the name", name))
		}
	}
	return environment, errors.Join(problems...)
}

// holdsPassword says whether a broker's URL has a password. One that cannot be read, or that is not known before the deployment,
// has one as soon as something stands before an @.
func holdsPassword(b config.Broker, url string) bool {
	if e, err := b.Endpoint(url); err == nil && !unresolved(url) {
		return e.Password != ""
	}
	return strings.Contains(url, "@")
}

// unresolved says whether the text has a token of the CDK in it, for what is known on deployment only.
func unresolved(s string) bool { return strings.Contains(s, "${Token[") }
