package sluicecdk

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sluice/internal/config"
)

// program is the head of an ELF file, with one segment.
func program(t *testing.T, kind elf.Type, machine elf.Machine, segment elf.ProgType) []byte {
	t.Helper()
	var b bytes.Buffer
	header := elf.Header64{
		Type: uint16(kind), Machine: uint16(machine), Version: uint32(elf.EV_CURRENT),
		Phoff: 64, Ehsize: 64, Phentsize: 56, Phnum: 1, Shentsize: 64,
	}
	copy(header.Ident[:], elf.ELFMAG)
	header.Ident[elf.EI_CLASS] = byte(elf.ELFCLASS64)
	header.Ident[elf.EI_DATA] = byte(elf.ELFDATA2LSB)
	header.Ident[elf.EI_VERSION] = byte(elf.EV_CURRENT)
	for _, part := range []any{header, elf.Prog64{Type: uint32(segment), Off: 0, Filesz: 120, Memsz: 120}} {
		if err := binary.Write(&b, binary.LittleEndian, part); err != nil {
			t.Fatal(err)
		}
	}
	return b.Bytes()
}

func TestReadBootstrap(t *testing.T) {
	tests := []struct {
		name    string
		data    []byte
		problem string
	}{
		{"for arm64", program(t, elf.ET_EXEC, elf.EM_AARCH64, elf.PT_LOAD), ""},
		{"position independent", program(t, elf.ET_DYN, elf.EM_AARCH64, elf.PT_LOAD), ""},
		{"for x86", program(t, elf.ET_EXEC, elf.EM_X86_64, elf.PT_LOAD), "is built for EM_X86_64"},
		{"an object file", program(t, elf.ET_REL, elf.EM_AARCH64, elf.PT_LOAD), "is no executable"},
		{"linked dynamically", program(t, elf.ET_DYN, elf.EM_AARCH64, elf.PT_INTERP), "is linked dynamically"},
		{"a script", []byte("#!/bin/sh\nexec true\n"), "is no Linux program"},
		{"empty", nil, "is no Linux program"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "bootstrap")
			if err := os.WriteFile(path, tt.data, 0o755); err != nil {
				t.Fatal(err)
			}
			got, err := readBootstrap(path)
			wantProblem(t, err, tt.problem)
			if tt.problem == "" && !bytes.Equal(got, tt.data) {
				t.Error("it is not the file's content")
			}
			if err != nil && !strings.Contains(err.Error(), "make lambdas") {
				t.Errorf("the error has no remedy: %v", err)
			}
		})
	}
	_, err := readBootstrap(filepath.Join(t.TempDir(), "bootstrap"))
	wantProblem(t, err, "no such file")
}

func wantProblem(t *testing.T, err error, problem string) {
	t.Helper()
	if (err == nil) != (problem == "") || err != nil && !strings.Contains(err.Error(), problem) {
		t.Errorf("got the error %v, want %q", err, problem)
	}
}

const plain = `version: 1
brokers:
- name: main
  url_secret: prod/redis
  separator: "\x06\x16"
targets:
- name: worker
  cluster: prod
  service: celery
  queues: [celery, "vi: deo"]
  max: 10
`

func TestRuntimeConfig(t *testing.T) {
	const local = "local:\n  services:\n  - {cluster: prod, service: celery, command: [celery], env: {PASSWORD: hunter2}}\n"
	const deploy = "deploy:\n  alarms:\n    email: oncall@example.com\n"
	tests := []struct{ name, yaml string }{
		{"neither section", plain},
		{"both at the end", plain + local + deploy},
		{"between others", strings.Replace(plain, "targets:", deploy+local+"targets:", 1)},
		{"with comments", "# hunter2\n" + strings.ReplaceAll(plain, "\n", " # hunter2\n") + deploy + "# hunter2\n"},
		{"with quotes", plain + `"deploy": {stack: other}` + "\n"},
		{"Windows line ends", strings.ReplaceAll(plain+deploy, "\n", "\r\n")},
		{"JSON", `{"version":1,"brokers":[{"name":"main","url_secret":"prod/redis"}],"deploy":{"stack":"s"},` +
			`"targets":[{"name":"worker","cluster":"prod","service":"celery","queues":["celery"],"max":10}]}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "sluice.yaml")
			if err := os.WriteFile(path, []byte(tt.yaml), 0o600); err != nil {
				t.Fatal(err)
			}
			got, err := runtimeConfig(path)
			if err != nil {
				t.Fatal(err)
			}
			for _, word := range []string{"deploy", "local", "hunter2", "#"} {
				if bytes.Contains(got, []byte(word)) {
					t.Errorf("it holds %q:\n%s", word, got)
				}
			}
			c, err := config.Parse(got, "shortened")
			if err != nil {
				t.Fatalf("%v in:\n%s", err, got)
			}
			if len(c.Targets) != 1 || c.Targets[0].Queues[0] != "celery" {
				t.Errorf("the targets are %v", c.Targets)
			}
		})
	}
}

func TestSectionsForDeploymentDoNotChangeTheCode(t *testing.T) {
	var got [2][]byte
	for i, yaml := range []string{plain, plain + "deploy: # now with an address\n  alarms: {email: oncall@example.com}\n"} {
		path := filepath.Join(t.TempDir(), "sluice.yaml")
		if err := os.WriteFile(path, []byte(yaml), 0o600); err != nil {
			t.Fatal(err)
		}
		var err error
		if got[i], err = runtimeConfig(path); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(got[0], got[1]) {
		t.Errorf("%s\nbecame\n%s", got[0], got[1])
	}
}

func TestSameAtRunTime(t *testing.T) {
	if err := sameAtRunTime([]byte(plain), []byte(strings.Replace(plain, "max: 10", "max: 11", 1)), "sluice.yaml"); err == nil {
		t.Error("another max went unnoticed")
	}
}

// certificate is any certificate, to be named as a CA file.
const certificate = `-----BEGIN CERTIFICATE-----
MIIBfzCCASWgAwIBAgIUZ2kBhCrI4yEmJUCy6DdTg3Rk8nEwCgYIKoZIzj0EAwIw
-----END CERTIFICATE-----
`

func TestCode(t *testing.T) {
	functions := t.TempDir()
	arm := program(t, elf.ET_EXEC, elf.EM_AARCH64, elf.PT_LOAD)
	if err := os.MkdirAll(filepath.Join(functions, check), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(functions, check, "bootstrap"), arm, 0o600); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "sluice.yaml")
	if err := os.WriteFile(path, []byte(plain), 0o600); err != nil {
		t.Fatal(err)
	}
	withCA := func(file string) *config.Config {
		b := config.Broker{TLS: &config.TLS{CAFile: file, CAPEM: certificate}}
		return &config.Config{Brokers: []config.Broker{b, b}}
	}
	tests := []struct {
		name    string
		c       *config.Config
		want    string
		problem string
	}{
		{"no CA file", &config.Config{Brokers: []config.Broker{{}}}, "-rwxr-xr-x bootstrap, -rw-r--r-- sluice.yaml", ""},
		{"a CA file of two brokers", withCA("./certs/ca.pem"), "-rw-r--r-- ca.pem, -rwxr-xr-x bootstrap, -rw-r--r-- sluice.yaml", ""},
		{"elsewhere", withCA("../ca.pem"), "", "is not below the folder of sluice.yaml"},
		{"anywhere", withCA("/etc/ssl/ca.pem"), "", "is not below the folder of sluice.yaml"},
		{"named like the program", withCA("bootstrap"), "", "has the name of another file"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			files, err := code(tt.c, path, functions, check)
			wantProblem(t, err, tt.problem)
			if err != nil {
				return
			}
			parent := t.TempDir()
			dir, err := write(parent, check, files)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(filepath.Join(dir, "bootstrap"), 0o600); err != nil { // As a umask would have it.
				t.Fatal(err)
			}
			again, err := write(parent, check, files)
			if err != nil || again != dir {
				t.Errorf("a second time it is in %s, %v, want %s", again, err, dir)
			}
			if got := listing(t, dir); got != tt.want {
				t.Errorf("%s, want %s", got, tt.want)
			}
			files[0].data[0]++
			if other, err := write(parent, check, files); err != nil || other == dir {
				t.Errorf("another program is in %s, %v, as well", other, err)
			}
		})
	}
}

// listing is every file with its mode, folders first.
func listing(t *testing.T, dir string) string {
	t.Helper()
	var out []string
	for _, pattern := range []string{"*/*", "*"} {
		paths, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range paths {
			if info, err := os.Stat(p); err != nil {
				t.Fatal(err)
			} else if !info.IsDir() {
				out = append(out, info.Mode().String()+" "+info.Name())
			}
		}
	}
	return strings.Join(out, ", ")
}
