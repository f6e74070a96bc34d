// Command notify is the Lambda function that tells people in words what has changed. A schedule starts it.
package main

import (
	"context"
	"os"
	"strings"
	"time"

	"sluice/internal/function"
	"sluice/internal/notify"
)

func main() {
	function.StartWith("notify", func(s function.Setup) (function.Handler, error) {
		every, _ := time.ParseDuration(os.Getenv("SLUICE_NOTIFY_EVERY")) // 0 is refused as what is not set.
		n, err := notify.New(notify.Options{
			Config: s.Config, AWS: s.AWS, Log: s.Log, Every: every, Stack: os.Getenv("SLUICE_STACK"), Topic: os.Getenv("SLUICE_TOPIC_ARN"),
			LogGroups: strings.FieldsFunc(os.Getenv("SLUICE_LOG_GROUPS"), func(r rune) bool { return r == ',' }),
		})
		if err != nil {
			return nil, err
		}
		return func(ctx context.Context, payload []byte) (any, error) {
			in, err := notify.ParseInput(payload)
			if err != nil {
				return nil, err
			}
			return n.Run(ctx, in)
		}, nil
	})
}
