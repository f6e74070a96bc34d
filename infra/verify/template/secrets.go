package template

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

var (
	// passwordInURL is what stands between the user and the @ of a URL.
	passwordInURL = regexp.MustCompile(`[A-Za-z][A-Za-z0-9+.-]*://[^\s/:@"'<>]*:([^\s@"'<>]+)@`)
	accessKey     = regexp.MustCompile(`\b(?:AKIA|ASIA)[A-Z0-9]{16}\b`)
	privateKey    = regexp.MustCompile(`-----BEGIN [A-Z ]*PRIVATE KEY-----`)
	// secretName is what properties and variables that hold a secret are called.
	secretName = regexp.MustCompile(`(?i)(passwords?|passwd|secret_?string|auth_?token|secret_?key|api_?key|credentials?)$`)
)

// dynamic says whether a value is a reference that CloudFormation resolves: to a secret, or to something else of the template.
func dynamic(s string) bool { return strings.Contains(s, "{{resolve:") || strings.Contains(s, "${") }

// checkSecrets looks at everything that is uploaded, and at what the synthesis writes beside it.
func checkSecrets(d *Deployment, f *findings) {
	const remedy = "keep it in Secrets Manager, and refer to it"
	for _, s := range d.Stacks {
		for _, id := range sortedKeys(s.Resources) {
			r := s.Resources[id]
			walk(r.Properties, "", func(path, t string) {
				name := path[strings.LastIndexByte(path, '.')+1:]
				if cut := strings.IndexByte(name, '['); cut >= 0 {
					name = name[:cut]
				}
				if secretName.MatchString(name) && !dynamic(t) {
					f.add(r, remedy, "%s is a plain text", path)
				}
				if what := secretIn(t); what != "" {
					f.add(r, remedy, "%s holds %s", path, what)
				}
			})
			// Lists of names and values.
			for _, container := range r.list("ContainerDefinitions") {
				for _, v := range list(at(container, "Environment")) {
					if name := text(at(v, "Name")); secretName.MatchString(name) && !dynamic(text(at(v, "Value"))) {
						f.add(r, remedy, "the variable %s is a plain text", name)
					}
				}
			}
		}
	}
	err := filepath.WalkDir(d.Dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(d.Dir, path)
		if err != nil {
			return err
		}
		for _, secret := range d.Secrets {
			if bytes.Contains(data, []byte(secret)) {
				f.addAt(relative, remedy, "holds a secret of sluice.yaml")
			}
		}
		if bytes.HasPrefix(data, []byte("\x7fELF")) {
			return nil // Programs have texts of every form, and nothing of the configuration.
		}
		if what := secretIn(string(data)); what != "" {
			f.addAt(relative, remedy, "holds %s", what)
		}
		return nil
	})
	if err != nil {
		f.addAt(d.Dir, "see that it is there", "%v", err)
	}
}

// secretIn says what secret a text holds, without repeating it; empty if none.
func secretIn(t string) string {
	for _, m := range passwordInURL.FindAllStringSubmatch(t, -1) {
		if !dynamic(m[1]) {
			return "a URL with a password"
		}
	}
	switch {
	case accessKey.MatchString(t):
		return "an access key"
	case privateKey.MatchString(t):
		return "a private key"
	}
	return ""
}
