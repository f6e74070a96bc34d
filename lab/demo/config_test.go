package main

import (
	"path/filepath"
	"testing"

	"sluice/internal/config"
	"sluice/lab/testenv"
)

func TestTheShopsConfigIsWhatTheDriverRestsOn(t *testing.T) {
	c, err := config.Load(filepath.Join(testenv.Root(), "examples", "shop", "sluice.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Targets) != 1 || len(c.Brokers) != 1 || len(c.Local.Services) != 1 {
		t.Fatalf("%d targets, %d brokers, %d local services; the driver expects one of each",
			len(c.Targets), len(c.Brokers), len(c.Local.Services))
	}
	target := c.Targets[0]
	for _, queue := range target.Queues {
		if kinds[queue] == "" {
			t.Errorf("the driver does not know the tasks of queue %s", queue)
		}
	}
	if len(target.Queues) != len(kinds) {
		t.Errorf("queues %v, and the driver knows %v", target.Queues, kinds)
	}
	if target.Min != 0 || target.Max < 2 {
		t.Errorf("min %d, max %d: the demo goes from zero to several workers and back", target.Min, target.Max)
	}
	if c.Brokers[0].URLSecret == "" || c.Local.Redis != config.RedisEmbedded {
		t.Errorf("%v, local Redis %s: the functions take the URL from the local cloud's secrets, as they do on AWS", c.Brokers[0], c.Local.Redis)
	}
}

// Demo and deployment run from one file.
func TestTheShopsConfigDeploys(t *testing.T) {
	f, err := config.Open(filepath.Join(testenv.Root(), "examples", "shop", "sluice.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if f.Config.Deploy.Example == nil {
		t.Error("there is no deploy.example")
	}
	if hints := f.Hints(); len(hints) > 0 {
		t.Errorf("hints:\n%v", hints)
	}
}
