package doctor

import (
	"context"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"sluice/internal/config"
	"sluice/lab/testenv"
)

// A server that answers with what it likes ends no run of doctor, which has other things to look at.
func TestHostileServer(t *testing.T) {
	for name, answer := range map[string]string{
		"an array beyond memory": "*4611686018427387904\r\n",
		"an array of billions":   "*2000000000\r\n",
		"a string of a terabyte": "$1099511627776\r\n",
		"nested without end":     strings.Repeat("*1\r\n", 100_000),
	} {
		for _, only := range []string{"HELLO", "INFO", "TIME", "CLIENT", "ZRANGE", "SCAN"} {
			addr := testenv.RESPServer(t, nil, func(conn io.Writer, command []string) {
				switch command[0] {
				case only:
					_, _ = io.WriteString(conn, answer)
				case "HELLO":
					_, _ = io.WriteString(conn, "-ERR unknown command\r\n")
				case "TIME":
					_, _ = io.WriteString(conn, "*2\r\n$1\r\n1\r\n$1\r\n0\r\n")
				default:
					_, _ = io.WriteString(conn, "*0\r\n")
				}
			})
			endpoint, err := config.ParseBrokerURL("redis://" + addr)
			if err != nil {
				t.Fatal(err)
			}
			g := &gatherer{env: Environment{Now: time.Now}}
			client := g.client(endpoint)
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			errs := []error{g.server(ctx, client).Err, waiting(ctx, client).Err, bindings(ctx, client).Err, oldest(ctx, client, config.Broker{}).Err}
			cancel()
			_ = client.Close()
			if text := fmt.Sprint(errs); only != "TIME" && !strings.Contains(text, "the answer is too large") && !strings.Contains(text, "nests arrays") {
				t.Errorf("%s in answer to %s: %s", name, only, text)
			}
		}
	}
}
