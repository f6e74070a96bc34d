package celery

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"sluice/internal/policy"
)

// fakes starts n workers that answer as Celery does, each with two tasks active, and returns them as nodes.
func fakes(b *testing.B, addr string, n int) []policy.Node {
	b.Helper()
	var nodes []policy.Node
	ok := map[string]any{"ok": "no longer consuming from video"}
	for i := range n {
		name := fmt.Sprintf("celery@ip-10-0-%d-%d.eu-west-1.compute.internal", i/250, i%250)
		startFake(b, addr, name, says{
			methodQueues: videoOnly, methodActive: activeTasks(1, 2), methodCancel: ok, methodAdd: ok,
			methodRegistered: []any{"tasks.nap", "tasks.slow [rate_limit=10/m]"},
		})
		nodes = append(nodes, node(name, "video"))
	}
	return nodes
}

// What is done to 1, 10 and 100 workers. The workers run in this process, so that the figures are theirs, too.
func BenchmarkNodes(b *testing.B) {
	for _, n := range []int{1, 10, 100} {
		_, addr := realRedis(b)
		nodes := fakes(b, addr, n)
		broker := newBroker(b, lookOptions(addr))
		for name, call := range map[string]func(ctx context.Context) error{
			"look": func(ctx context.Context) error {
				look, err := broker.Look(ctx, []string{"video"}, time.Second)
				if err == nil && look.Heard() != n {
					err = fmt.Errorf("%d of %d workers were heard", look.Heard(), n)
				}
				return err
			},
			"cancel": func(ctx context.Context) error { return broker.Cancel(ctx, nodes) },
			"rates":  func(ctx context.Context) error { _, err := broker.RateLimited(ctx, nodes); return err },
		} {
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				var worst time.Duration
				for b.Loop() {
					begin := time.Now()
					if err := call(b.Context()); err != nil {
						b.Fatal(err)
					}
					worst = max(worst, time.Since(begin))
				}
				if each := b.Elapsed() / time.Duration(b.N); name == "look" && each > 500*time.Millisecond {
					b.Errorf("a look at %d workers takes %v", n, each)
				}
				b.ReportMetric(float64(b.Elapsed().Microseconds())/1e3/float64(b.N), "ms/op")
				b.ReportMetric(float64(worst.Microseconds())/1e3, "ms-worst")
			})
		}
	}
}

// How long Redis does nothing else while it reads what workers hold, at the most that is read of it.
func BenchmarkPeek(b *testing.B) {
	for _, c := range []struct{ entries, size int }{{200, 1000}, {750, 1000}, {maxHeld, 390}, {maxHeld, 1000}, {maxHeld, 20_000}} {
		b.Run(fmt.Sprintf("%d entries of %d bytes", c.entries, c.size), func(b *testing.B) {
			client, addr := realRedis(b)
			values := map[string]any{}
			var index []redis.Z
			for range c.entries {
				tag := uuid()
				message := taskMessage(tag, "video", nil)
				entry := unackedEntry(message, "", "video")
				if pad := c.size - len(entry); pad > 0 {
					entry = unackedEntry(message+strings.Repeat(" ", pad), "", "video")
				}
				values[tag] = entry
				index = append(index, redis.Z{Score: float64(noon.Unix()), Member: tag})
			}
			if err := client.HSet(b.Context(), "unacked", values).Err(); err != nil {
				b.Fatal(err)
			}
			client.ZAdd(b.Context(), "unacked_index", index...)
			broker := newBroker(b, lookOptions(addr))
			if err := client.ConfigResetStat(b.Context()).Err(); err != nil {
				b.Fatal(err)
			}
			singly, begin := 0, cpu(b, client)
			for b.Loop() {
				look, err := broker.Look(b.Context(), []string{"video"}, time.Second)
				if err != nil {
					b.Fatal(err)
				}
				singly = look.Queues["video"].Held.N
			}
			b.ReportMetric(float64(singly), "told-singly")
			b.ReportMetric((cpu(b, client)-begin)*1e6/float64(b.N), "us-cpu")
			b.ReportMetric(usecPerCall(b, client, "cmdstat_eval"), "us-blocked")
		})
	}
}

// cpu is how many seconds of processor time the server's main thread has taken: unlike the clock's, they do not depend on what
// else the machine does.
func cpu(b testing.TB, client *redis.Client) float64 {
	b.Helper()
	var sum float64
	for _, line := range strings.Split(client.Info(b.Context(), "cpu").Val(), "\r\n") {
		name, value, _ := strings.Cut(line, ":")
		if name != "used_cpu_sys_main_thread" && name != "used_cpu_user_main_thread" {
			continue
		}
		seconds, err := strconv.ParseFloat(value, 64)
		if err != nil {
			b.Fatalf("read %q: %v", line, err)
		}
		sum += seconds
	}
	return sum
}

// usecPerCall is how long the server took for each call of a command, by its own account.
func usecPerCall(b *testing.B, client *redis.Client, command string) float64 {
	b.Helper()
	info := client.Info(b.Context(), "commandstats").Val()
	for _, line := range strings.Split(info, "\r\n") {
		_, stats, ok := strings.Cut(line, command+":")
		if !ok {
			continue
		}
		var calls, usec int
		var each float64
		if _, err := fmt.Sscanf(stats, "calls=%d,usec=%d,usec_per_call=%f", &calls, &usec, &each); err != nil {
			b.Fatalf("read %q: %v", stats, err)
		}
		return each
	}
	b.Fatalf("no %s in %s", command, info)
	return 0
}
