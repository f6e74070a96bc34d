package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"time"

	"sluice/internal/policy"
	"sluice/internal/scaler"
	"sluice/lab/cloud/asl"
	"sluice/lab/cloud/ecs"
	"sluice/stepfunctions"
)

const (
	waveWidth = 40 // As many places as the state machine's Map has.
	waveFrom  = 4
	waveTo    = 2
)

// waves measures what one sweep does to ECS's rate limits when it lets workers of forty targets go at once, which have settled for
// equally long: the state machine as it ships, and behind it for each invocation a use case with a budget of its own, which
// knows nothing of the others' calls, as forty functions at the same time do.
func waves(ctx context.Context, l *lab) ([]row, error) {
	addr, stop, err := l.redis(ctx)
	if err != nil {
		return nil, err
	}
	defer stop()
	gate := &gate{}
	t, err := l.theatreBehind(ctx, addr, waveWidth, waveFrom, waveTo, gate.before)
	if err != nil {
		return nil, err
	}
	defer t.close()
	machine, err := sweepMachine()
	if err != nil {
		return nil, err
	}
	retried := 0
	began := time.Now()
	x := machine.Run(ctx, []byte("{}"), asl.Env{
		Invoke: t.invoke,
		Observe: func(e asl.Event) {
			if e.Type == asl.Retried {
				retried++
			}
		},
	})
	took := time.Since(began).Seconds()
	if x.Items["Sweep"] == nil {
		return nil, fmt.Errorf("run the state machine: %s: %s", x.Error, x.Cause)
	}
	scaled := t.scaledIn()
	what := fmt.Sprintf("one sweep, %d targets scaled in at once, %d -> %d each", waveWidth, waveFrom, waveTo)
	// When a call comes, and whether it is refused, depends on the machine and on chance: these bounds fail no run.
	rows := []row{
		measured(what, "s", []float64{took}),
		measured("  left to the next sweep", "targets", []float64{float64(waveWidth - scaled)}).timed(0),
		measured("  invocations that the state machine repeated", "times", []float64{float64(retried)}).timed(0),
	}
	for _, b := range buckets {
		all, refused := float64(b.sum(gate.all)), float64(b.sum(gate.refused))
		rows = append(rows, measured("  "+b.String(), "calls", []float64{all}),
			measured("    of them refused, and tried again", "calls", []float64{refused}).timed(0))
	}
	return rows, nil
}

// arnPrefix begins the ARNs of the functions, whose names follow.
const arnPrefix = "arn:aws:lambda:us-east-1:000000000000:function:"

// sweepMachine is the state machine as it ships.
func sweepMachine() (*asl.Machine, error) {
	definition, err := stepfunctions.Substitute(stepfunctions.ScaleIn, map[string]string{
		stepfunctions.CheckFunctionArn:    arnPrefix + "check",
		stepfunctions.ScaleOutFunctionArn: arnPrefix + "scaleout",
		stepfunctions.ScaleInFunctionArn:  arnPrefix + "scalein",
	})
	if err != nil {
		return nil, err
	}
	return asl.Parse(definition)
}

// invoke runs a use case as its function does. Its time is bounded by the state machine.
func (t *theatre) invoke(ctx context.Context, arn string, payload json.RawMessage) (json.RawMessage, error) {
	s, _, err := t.scaler()
	if err != nil {
		return nil, err
	}
	answer, err := use(ctx, s, strings.TrimPrefix(arn, arnPrefix), payload)
	if e := new(policy.Error); errors.As(err, &e) {
		return nil, &asl.TaskError{Name: string(e.Kind), Cause: err.Error()}
	}
	if err != nil {
		return nil, err
	}
	return json.Marshal(answer)
}

func use(ctx context.Context, s *scaler.Scaler, function string, payload []byte) (any, error) {
	switch function {
	case "check":
		in, err := scaler.CheckInput(payload)
		if err != nil {
			return nil, err
		}
		if in.Target == "" {
			return s.CheckAll(ctx, in.Sweep), nil
		}
		return s.CheckOne(ctx, in)
	case "scalein":
		in, err := scaler.ScaleInInput(payload)
		if err != nil {
			return nil, err
		}
		return s.ScaleIn(ctx, in)
	}
	return nil, fmt.Errorf("invoke %s: no target of this sweep needs it", function)
}

// scaledIn is how many services have the count that they are to have.
func (t *theatre) scaledIn() int {
	services, _ := t.model.Snapshot()
	n := 0
	for _, s := range services {
		if s.Desired == t.to {
			n++
		}
	}
	return n
}

// gate stands before an ECS and counts the calls, and which of them were refused because of their rate.
type gate struct {
	mu           sync.Mutex
	all, refused map[string]int
}

func (g *gate) before(m *ecs.Model) http.Handler {
	g.all, g.refused = map[string]int{}, map[string]int{}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, op, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
		answer := httptest.NewRecorder()
		m.ServeHTTP(answer, r)
		g.mu.Lock()
		g.all[op]++
		if answer.Code == http.StatusBadRequest && strings.Contains(answer.Body.String(), "ThrottlingException") {
			g.refused[op]++
		}
		g.mu.Unlock()
		maps.Copy(w.Header(), answer.Header())
		w.WriteHeader(answer.Code)
		_, _ = answer.Body.WriteTo(w)
	})
}
