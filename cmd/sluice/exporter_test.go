package main

import (
	"net"
	"strings"
	"testing"
)

func TestWhatExporterRefuses(t *testing.T) {
	taken, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	client(t, "http://127.0.0.1:1")
	good, bad := write(t, valid), write(t, invalid)
	for name, tt := range map[string]struct {
		args   string
		status int
		want   string
	}{
		"too often":              {"--config " + good + " --every 1s", exitUsage, "each look asks every worker: use 5s or more"},
		"an argument":            {"--config " + good + " video", exitUsage, "unknown command"},
		"another form":           {"--config " + good + " -o json", exitUsage, "prints metrics only"},
		"a config with problems": {"--config " + bad, exitProblem, "color"},
		"a port that is taken":   {"--config " + good + " --listen " + taken.Addr().String(), exitProblem, "address already in use"},
	} {
		t.Run(name, func(t *testing.T) {
			status, _, stderr := execute(t, append([]string{"exporter"}, strings.Fields(tt.args)...)...)
			if status != tt.status || !strings.Contains(stderr, tt.want) {
				t.Errorf("status %d, %q; want %d and %q", status, stderr, tt.status, tt.want)
			}
		})
	}
}
