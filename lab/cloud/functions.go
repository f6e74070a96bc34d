package cloud

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"sluice/lab/cloud/delivery"
	"sluice/lab/cloud/lambda"
	"sluice/lab/cloud/logs"
)

// startFunctions makes the Lambda host, with the functions as they are deployed.
func (c *Cloud) startFunctions() error {
	d := c.deployed()
	var functions []lambda.Function
	var groups []string
	for _, f := range d.Functions {
		env, err := c.functionEnv(f)
		if err != nil {
			return err
		}
		function := lambda.Function{
			Name: f.Name, Bootstrap: bootstrap(c.opts.Lambdas, f.Name), Root: f.Code, Env: env,
			Timeout: f.Timeout, MemoryMB: f.MemoryMB, Reserved: f.Reserved, LogFormat: f.LogFormat, Async: c.async(f.Retry),
		}
		if f.DeadLetters != "" {
			function.DeadLetters = func(l lambda.DeadLetter) error {
				return c.send(d.functionCaller(f.Name), f.DeadLetters, message{Body: string(l.Payload), Attributes: map[string]string{
					"RequestID": l.RequestID, "ErrorCode": strconv.Itoa(l.ErrorCode), "ErrorMessage": l.ErrorMessage,
				}})
			}
		}
		functions, groups = append(functions, function), append(groups, f.LogGroup)
	}
	c.logs = logs.New(time.Now, groups...)
	var err error
	c.functions, err = lambda.Start(lambda.Options{
		Functions: functions, Region: d.Region, Account: d.Account, Log: c.opts.FunctionLog,
		OnLine: c.keepLine, OnAttempt: c.feed.attempt, OnDeadLetter: c.feed.deadLetter,
	})
	if err != nil {
		return err
	}
	c.stopFunctions(d)
	c.onClose(func() { _ = c.functions.Close() })
	return nil
}

// keepLine puts a line that a function has printed into its log group.
func (c *Cloud) keepLine(l lambda.Line) {
	for _, f := range c.deployed().Functions {
		if f.Name == l.Function {
			c.logs.Put(f.LogGroup, l.Stream, l.Text)
		}
	}
}

// async is how a function deals with asynchronous events that fail: as deployed, with shorter waits.
func (c *Cloud) async(deployed delivery.Policy) lambda.Async {
	a := c.opts.Retry
	a.Retries, a.NoRetry = deployed.Retries, a.NoRetry || deployed.Retries == 0
	a.MaxAge = cmp.Or(a.MaxAge, deployed.MaxAge)
	if len(a.RetryDelays) == 0 {
		a.RetryDelays = []time.Duration{time.Second, 2 * time.Second}
	}
	a.ThrottleDelay = cmp.Or(a.ThrottleDelay, 50*time.Millisecond)
	a.ThrottleMax = cmp.Or(a.ThrottleMax, 500*time.Millisecond)
	return a
}

// functionEnv is a function's environment: as deployed, and what leads it to the local cloud and to the local Redis. The
// access key tells the cloud who calls. Where a broker's URL is in another variable than REDIS_URL, it is passed on from our own
// environment.
func (c *Cloud) functionEnv(f Function) (map[string]string, error) {
	env := maps.Clone(f.Env)
	if env == nil {
		env = map[string]string{}
	}
	env["AWS_LAMBDA_LOG_GROUP_NAME"] = f.LogGroup
	env["AWS_ENDPOINT_URL"], env["AWS_ACCESS_KEY_ID"] = c.endpoint, keyPrefix+f.Name
	if f.Code == "" {
		path, err := filepath.Abs(c.opts.ConfigPath)
		if err != nil {
			return nil, fmt.Errorf("locate config %s: %w", c.opts.ConfigPath, err)
		}
		env["SLUICE_CONFIG"] = path
		if c.redisURL != "" {
			env["REDIS_URL"] = c.redisURL
		}
	}
	for _, b := range c.opts.Config.Brokers {
		if b.URLEnv == "" || f.Name == Notify { // It asks no broker.
			continue
		}
		value := os.Getenv(b.URLEnv)
		if b.URLEnv == "REDIS_URL" {
			value = cmp.Or(c.redisURL, value)
		}
		if value == "" {
			return nil, fmt.Errorf("broker %s: the environment variable %s is not set: set it, or let `local.redis: embedded` "+
				"set REDIS_URL", b.Name, b.URLEnv)
		}
		if _, ok := env[b.URLEnv]; !ok && f.Code != "" {
			return nil, fmt.Errorf("broker %s: the environment variable %s is not in the deployment's function %s", b.Name, b.URLEnv, f.Name)
		}
		env[b.URLEnv] = value
	}
	return env, nil
}
