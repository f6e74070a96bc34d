package config

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// manyTargets is a file with n targets on 50 brokers, as in the largest set-up that a sweep is built for.
func manyTargets(n int) []byte {
	var b strings.Builder
	b.WriteString("version: 1\nbrokers:\n")
	for i := range 50 {
		fmt.Fprintf(&b, "  - name: broker-%d\n    url_parameter: /prod/redis-%d\n", i, i)
	}
	b.WriteString("targets:\n")
	for i := range n {
		fmt.Fprintf(&b, `  - name: target-%d
    cluster: prod
    service: worker-%d
    broker: broker-%d
    queues: [queue-%d]
    max: 10
    messages_per_worker: 10
    settle: 60s
`, i, i, i%50, i)
	}
	return []byte(b.String())
}

func BenchmarkParse(b *testing.B) {
	small, err := os.ReadFile("testdata/valid/small.yaml")
	if err != nil {
		b.Fatal(err)
	}
	for _, bench := range []struct {
		name string
		data []byte
	}{{"one target", small}, {"1000 targets", manyTargets(1000)}} {
		b.Run(bench.name, func(b *testing.B) {
			b.SetBytes(int64(len(bench.data)))
			for b.Loop() {
				if _, err := Parse(bench.data, "sluice.yaml"); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
