package main

import (
	"context"
	"fmt"
	"slices"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsecs "github.com/aws/aws-sdk-go-v2/service/ecs"

	"sluice/lab/cloud"
	"sluice/lab/cloud/ecs"
)

// did writes down what was done, at the time at which it was, until now.
func (w *world) did(k kind, host string, from time.Time, note string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.deeds = append(w.deeds, deed{kind: k, host: host, from: from, until: time.Now(), note: note})
}

// inject waits for the time of a fault, and does it. What cannot be done, since nobody is there to whom it could be, is
// left out. It returns when the fault is over.
func (w *world) inject(ctx context.Context, f fault) error {
	pause(ctx, time.Until(w.began.Add(f.at)))
	if ctx.Err() != nil {
		return ctx.Err()
	}
	from := time.Now()
	switch f.kind {
	case killFunction, stallFunction:
		return w.strikeFunction(ctx, f)
	case killWorker, killChild, stopWorker:
		return w.strikeWorker(ctx, f)
	case ambush:
		return w.ambush(ctx, f)
	case stopRedis:
		err := w.redis.freeze(ctx, f.lasts)
		w.did(f.kind, "", from, f.String())
		return err
	case restartRedis:
		err := w.redis.restart(ctx, f.lasts)
		w.did(f.kind, "", from, f.String())
		return err
	case cutClients:
		err := w.redis.cut(ctx)
		w.did(f.kind, "", from, f.String())
		return err
	case doubleEvents:
		w.cloud.Events().Double(f.number)
	case dropEvents:
		w.cloud.Events().Drop(f.number)
	case moreSweeps:
		for range f.number {
			if _, err := w.cloud.StartSweep(); err != nil {
				return err
			}
		}
	case failECS:
		w.cloud.ECS().Fail(f.op, f.number, f.call)
	case deploy:
		if _, err := w.client().UpdateService(ctx, &awsecs.UpdateServiceInput{
			Cluster: aws.String(clusterName), Service: aws.String(serviceName), ForceNewDeployment: true,
		}); err != nil {
			return fmt.Errorf("begin a deployment: %w", err)
		}
	}
	w.did(f.kind, "", from, f.String())
	return nil
}

// patience is how long a fault waits for somebody to whom it can be done.
const patience = 15 * time.Second

// ambush sends work at an instant of a scale-in.
func (w *world) ambush(ctx context.Context, f fault) error {
	select {
	case <-w.witness.nextCall(cloud.ScaleIn):
	case <-time.After(patience):
		return nil // There is no scale-in.
	case <-ctx.Done():
		return ctx.Err()
	}
	from := time.Now()
	if f.late {
		const op = "UpdateService"
		model := w.cloud.ECS()
		before := model.Calls()[op]
		model.Fail(op, 1, ecs.Fault{Delay: f.lasts})
		for deadline := time.Now().Add(2 * patience); model.Calls()[op] == before; pause(ctx, 5*time.Millisecond) {
			if time.Now().After(deadline) || ctx.Err() != nil {
				model.Fail(op, 0, ecs.Fault{})
				return ctx.Err()
			}
		}
	} else {
		pause(ctx, f.after)
	}
	if err := w.producer.send(f.jobs); err != nil {
		return err
	}
	w.did(f.kind, "", from, f.String())
	return nil
}

// strikeFunction kills or stalls the processes of a function, some time after a sweep has next called it.
func (w *world) strikeFunction(ctx context.Context, f fault) error {
	select {
	case <-w.witness.nextCall(f.function):
	case <-time.After(patience):
		return nil // No sweep has called it.
	case <-ctx.Done():
		return ctx.Err()
	}
	pause(ctx, f.after)
	pids, err := functionProcesses(w.bootstrap(f.function))
	if err != nil {
		return err
	}
	from := time.Now()
	if f.kind == killFunction {
		if signalAll(pids, syscall.SIGKILL) > 0 {
			w.expireLock(ctx)
			w.did(f.kind, "", from, f.String())
		}
		return nil
	}
	if signalAll(pids, syscall.SIGSTOP) > 0 {
		pause(ctx, f.lasts)
		signalAll(pids, syscall.SIGCONT)
		w.did(f.kind, "", from, f.String())
	}
	return nil
}

// lockKey is where Sluice keeps the lock of the round's service in Redis, and who holds it. A function that dies leaves it to
// expire, three minutes later.
const lockKey = "sluice:lock:" + clusterName + "/" + serviceName

// expireLock has the lock of a function that has just been killed expire after some seconds, if it held it: what sweeps do then
// is what the round is to see. A lock that is another's by then is left alone.
func (w *world) expireLock(ctx context.Context) {
	holder, err := w.redis.client.Get(ctx, lockKey).Result()
	if err != nil {
		return // It held none, or the broker is down: then the lock expires in its own time.
	}
	pause(ctx, 6*time.Second)
	const ifSame = `if redis.call("GET", KEYS[1]) == ARGV[1] then return redis.call("DEL", KEYS[1]) end return 0`
	_ = w.redis.client.Eval(ctx, ifSame, []string{lockKey}, holder).Err() // The same.
}

// strikeWorker kills or stops a worker, as soon as there is one.
func (w *world) strikeWorker(ctx context.Context, f fault) error {
	var running []ecs.TaskState
	for deadline := time.Now().Add(patience); len(running) == 0; pause(ctx, 50*time.Millisecond) {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if time.Now().After(deadline) {
			return nil // There is no worker.
		}
		_, tasks := w.cloud.ECS().Snapshot()
		running = slices.DeleteFunc(tasks, func(t ecs.TaskState) bool { return t.Status != "RUNNING" })
	}
	host := running[f.number%len(running)].Hostname
	main, others, err := workerProcesses(w.mark(), host)
	if err != nil || main == 0 {
		return err
	}
	from := time.Now()
	switch f.kind {
	case killWorker:
		signalAll([]int{main}, syscall.SIGKILL) // Its supervisor then kills the others.
	case killChild:
		if len(others) == 0 {
			return nil
		}
		signalAll(others[f.number%len(others):][:1], syscall.SIGKILL)
	case stopWorker:
		all := append([]int{main}, others...)
		signalAll(all, syscall.SIGSTOP)
		pause(ctx, f.lasts)
		signalAll(all, syscall.SIGCONT)
	}
	w.did(f.kind, host, from, f.String())
	return nil
}
