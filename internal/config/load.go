package config

import (
	"crypto/x509"
	"errors"
	"path/filepath"
	"reflect"
)

// Load reads the file at path, and the CA files that it names. Its error is Problems, or why a file could not be read.
func Load(path string) (*Config, error) {
	f, err := Open(path)
	if err != nil {
		return nil, err
	}
	return f.Config, nil
}

// Parse reads a config from memory; name stands for the file in the problems. Its error is Problems. CA files are not read:
// TLS.CAPEM stays empty where a ca_file is named.
func Parse(data []byte, name string) (*Config, error) {
	c, d := read(data, name)
	if len(d.problems) > 0 {
		return nil, d.problems.report()
	}
	return c, nil
}

// read decodes and validates. The config is nil if the file is no YAML; else it is as complete as the problems allow.
func read(data []byte, name string) (*Config, *decoder) {
	root, problems := source(data, name)
	d := &decoder{file: name, root: root, problems: problems}
	if len(problems) > 0 {
		return nil, d
	}
	c := new(Config)
	d.section(root, nil, Root(), reflect.ValueOf(c).Elem())
	if len(d.problems) <= maxProblems {
		d.validate(c)
	}
	c.index()
	return c, d
}

func (c *Config) index() {
	c.targets = make(map[string]int, len(c.Targets))
	for i := range c.Targets {
		c.targets[c.Targets[i].Name] = i
	}
	c.brokers = make(map[string]int, len(c.Brokers))
	for i := range c.Brokers {
		c.brokers[c.Brokers[i].Name] = i
	}
}

// loadCAs reads each broker's ca_file into its CAPEM.
func (d *decoder) loadCAs(c *Config) {
	for i := range c.Brokers {
		tls := c.Brokers[i].TLS
		if tls == nil || tls.CAFile == "" {
			continue
		}
		file := tls.CAFile
		if !filepath.IsAbs(file) {
			file = filepath.Join(c.Dir, file)
		}
		pem, err := readAtMost(file, maxSize+1)
		at := brokerPath(i).field("tls").field("ca_file")
		switch {
		case err != nil:
			d.problemAt(at, "name a file that can be read, relative to sluice.yaml", "%v", errors.Unwrap(err))
		case len(pem) > maxSize:
			d.problemAt(at, "name a PEM file", "the file is over 1 MiB")
		case !x509.NewCertPool().AppendCertsFromPEM(pem):
			d.problemAt(at, "name a PEM file", "the file holds no certificate in PEM form")
		default:
			tls.CAPEM = string(pem)
		}
	}
}
