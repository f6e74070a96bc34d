package config

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"

	"github.com/goccy/go-yaml/ast"
)

// File is a config together with the file that it was read from, for what people ask about the file itself.
type File struct {
	Config *Config

	name string
	root ast.Node
}

// Open reads the file at path, and the CA files that it names. Its error is Problems, or why a file could not be read.
func Open(path string) (*File, error) {
	data, err := readAtMost(path, maxSize+1)
	if err != nil {
		return nil, fmt.Errorf("read config: %w", err)
	}
	dir, err := filepath.Abs(filepath.Dir(path))
	if err != nil {
		return nil, fmt.Errorf("locate config %s: %w", path, err)
	}
	c, d := read(data, path)
	if c != nil {
		c.Dir = dir
		d.loadCAs(c)
	}
	if len(d.problems) > 0 {
		return nil, d.problems.report()
	}
	return &File{Config: c, name: path, root: d.root}, nil
}

// readAtMost reads a file, but no more than n bytes of it: it might be a device, or huge.
func readAtMost(path string, n int64) (data []byte, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return io.ReadAll(io.LimitReader(f, n))
}

// Has says whether the file itself gives a value, rather than a default: Has("targets", 0, "max") asks for targets[0].max.
func (f *File) Has(steps ...any) bool {
	var p *path
	for _, step := range steps {
		switch step := step.(type) {
		case string:
			p = p.field(step)
		case int:
			p = p.entry(step)
		default:
			panic(fmt.Sprintf("a step of type %T is neither a field nor an index", step))
		}
	}
	_, exact := find(f.root, p)
	return exact
}

// Hints returns what is right in itself, but hardly meant, or works locally and will not once it is deployed. Of the latter there is none
// without a section `deploy`: nobody has said that the file is for deployment.
func (f *File) Hints() Problems {
	d := &decoder{file: f.name, root: f.root}
	for i := range f.Config.Targets {
		d.hintWindows(&f.Config.Targets[i], targetPath(i), f.Config.Sweep.Every)
	}
	if f.Has("deploy") {
		d.hintDeploy(f)
	}
	return d.problems.report()
}

func (d *decoder) hintDeploy(f *File) {
	const remedy = "keep the URL in Secrets Manager (url_secret) or in a SecureString parameter (url_parameter)"
	for i := range f.Config.Brokers {
		b, p := &f.Config.Brokers[i], brokerPath(i)
		if b.URLEnv != "" {
			d.problemAt(p.field("url_env"), "set it there if the URL has no password; else "+remedy,
				"a deployment takes %s from the environment of cdk or make, and refuses it with a password, which could be read in the template", b.URLEnv)
		}
		if b.URL == "" {
			continue
		}
		e, err := b.Endpoint(b.URL.Reveal())
		if err != nil {
			continue // Validation has refused it.
		}
		if e.Password != "" {
			d.problemAt(p.field("url"), remedy, "holds a password, which a deployment refuses: the file is deployed with the functions")
		}
		if addr, err := netip.ParseAddr(e.Host); e.Host == "localhost" || err == nil && addr.IsLoopback() {
			d.problemAt(p.field("url"), "name the host that the workers use", "is on this machine, which no deployed function reaches")
		}
	}
	if f.Config.Deploy.Example != nil {
		b, _ := f.Config.Broker(f.Config.Targets[0].Broker)
		if b.URLSecret == "" {
			d.problemAt(at("deploy", "example"), "give the broker a url_secret", "the example takes the URL of its Redis from url_secret, which broker %s lacks", b.Name)
		}
	}
}
