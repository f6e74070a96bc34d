// Command fn is a function for the tests of the host: its event says what it shall do.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
)

type event struct {
	Do   string `json:"do"`
	Size int    `json:"size"`
	Name string `json:"name"`
}

var count int

func main() {
	if os.Getenv("FAIL_INIT") != "" {
		fmt.Fprintln(os.Stderr, "cannot start")
		os.Exit(3)
	}
	log := lambdacontext.NewLogger()
	lambda.Start(func(ctx context.Context, e event) (any, error) {
		count++
		switch e.Do {
		case "fail":
			return nil, errors.New("it went wrong")
		case "panic":
			panic("out of luck")
		case "exit":
			os.Exit(7)
		case "sleep":
			fmt.Println("asleep", os.Getpid())
			time.Sleep(time.Hour)
		case "wait": // Until somebody removes the file.
			for {
				if _, err := os.Stat(e.Name); err != nil {
					return "released", nil
				}
				time.Sleep(time.Millisecond)
			}
		case "big":
			return strings.Repeat("x", e.Size), nil
		case "env":
			return os.Getenv(e.Name), nil
		case "log":
			log.InfoContext(ctx, "decision", "target", "video", "desired_count", 3)
			fmt.Println("plain text")
			fmt.Fprint(os.Stderr, "no end of line")
		}
		lc, _ := lambdacontext.FromContext(ctx)
		deadline, _ := ctx.Deadline()
		return map[string]any{
			"count": count, "pid": os.Getpid(), "request_id": lc.AwsRequestID, "arn": lc.InvokedFunctionArn,
			"left_ms": time.Until(deadline).Milliseconds(), "trace": os.Getenv("_X_AMZN_TRACE_ID"),
		}, nil
	})
}
