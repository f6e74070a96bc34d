package sluicecdk

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"sluice/internal/config"
)

func TestSweepsWithin(t *testing.T) {
	t.Parallel()
	for every, want := range map[time.Duration]int{
		time.Minute: 11, 3 * time.Minute: 5, 5 * time.Minute: 3, 7 * time.Minute: 3, 10 * time.Minute: 2, 11 * time.Minute: 2, 24 * time.Hour: 2,
	} {
		if got := sweepsWithin(stranded, every); got != want {
			t.Errorf("each %v: %d sweeps within %v, want %d", every, got, stranded, want)
		}
	}
}

// TestPeriodsAreWithinCloudWatchsLimits holds the alarms that follow sweep.every to what PutMetricAlarm takes: periods of a minute to
// a day, together a day at most, or a week if a period has an hour or more.
func TestPeriodsAreWithinCloudWatchsLimits(t *testing.T) {
	t.Parallel()
	for every := time.Minute; every <= 24*time.Hour; every += time.Minute {
		most := 24 * time.Hour
		if every >= time.Hour {
			most = 7 * 24 * time.Hour
		}
		n := max(3, sweepsWithin(stranded, every))
		if together := time.Duration(n) * every; together > most {
			t.Errorf("each %v: %d periods are %v, more than %v", every, n, together, most)
		}
		if lasted := time.Duration(sweepsWithin(stranded, every)-1) * every; lasted < stranded {
			t.Errorf("each %v: seen by that many sweeps it may have lasted %v only, less than %v", every, lasted, stranded)
		}
	}
}

func TestHottest(t *testing.T) {
	t.Parallel()
	targets := []config.Target{
		{Cluster: "shop", Service: "workers"},
		{Cluster: "arn:aws:ecs:eu-central-1:123456789012:cluster/mail", Service: "sender"},
		{Cluster: "shop", Service: "reports"},
	}
	want := `SELECT AVG(CPUUtilization) FROM SCHEMA("AWS/ECS", ClusterName, ServiceName) ` +
		`WHERE ClusterName = 'mail' OR ClusterName = 'shop' GROUP BY ClusterName, ServiceName ORDER BY AVG() DESC`
	if got := hottest("CPUUtilization", targets); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	for i := range 1000 {
		targets = append(targets, config.Target{Cluster: fmt.Sprintf("cluster-%d", i), Service: "workers"})
		got := hottest("MemoryUtilization", targets)
		if len(got) > 2048 || strings.Contains(got, "'shop'") != strings.Contains(got, fmt.Sprintf("'cluster-%d'", i)) {
			t.Fatalf("%d clusters, of which the query may name all or none: %s", i+3, got)
		}
	}
}
