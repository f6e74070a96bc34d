package local

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"sluice/internal/local/lambda"
)

// startFunctions makes the Lambda host. The time-outs are the ones that the state machine is made for: each state waits
// a little longer than its function.
func (c *Cloud) startFunctions() error {
	env, err := c.functionEnv()
	if err != nil {
		return err
	}
	retry := c.opts.Retry
	if len(retry.RetryDelays) == 0 {
		retry.RetryDelays = []time.Duration{time.Second, 2 * time.Second}
	}
	retry.ThrottleDelay = cmp.Or(retry.ThrottleDelay, 50*time.Millisecond)
	retry.ThrottleMax = cmp.Or(retry.ThrottleMax, 500*time.Millisecond)
	function := func(name string, timeout time.Duration, reserved int) lambda.Function {
		return lambda.Function{
			Name: name, Bootstrap: filepath.Join(c.opts.Lambdas, name, "bootstrap"), Env: env,
			Timeout: timeout, Reserved: reserved, Async: retry,
		}
	}
	c.functions, err = lambda.Start(lambda.Options{
		Functions: []lambda.Function{
			function(ScaleOut, 30*time.Second, 1), function(Check, time.Minute, 0), function(ScaleIn, 2*time.Minute, 0),
		},
		Region: c.opts.Region, Account: Account, Log: c.opts.FunctionLog,
		OnAttempt: c.feed.attempt, OnDeadLetter: c.feed.deadLetter,
	})
	if err != nil {
		return err
	}
	c.onClose(func() { _ = c.functions.Close() })
	return nil
}

// functionEnv is the functions' environment. Where a broker's URL is in another variable than REDIS_URL, it is passed on
// from our own environment.
func (c *Cloud) functionEnv() (map[string]string, error) {
	path, err := filepath.Abs(c.opts.ConfigPath)
	if err != nil {
		return nil, fmt.Errorf("locate config %s: %w", c.opts.ConfigPath, err)
	}
	env := map[string]string{
		"AWS_ENDPOINT_URL": c.endpoint, "SLUICE_CONFIG": path, "AWS_LAMBDA_LOG_FORMAT": "JSON",
	}
	if c.redisURL != "" {
		env["REDIS_URL"] = c.redisURL
	}
	for _, b := range c.opts.Config.Brokers {
		if b.URLEnv == "" || env[b.URLEnv] != "" {
			continue
		}
		value := os.Getenv(b.URLEnv)
		if value == "" {
			return nil, fmt.Errorf("broker %s: the environment variable %s is not set: set it, or let `local.redis: embedded` "+
				"set REDIS_URL", b.Name, b.URLEnv)
		}
		env[b.URLEnv] = value
	}
	return env, nil
}
