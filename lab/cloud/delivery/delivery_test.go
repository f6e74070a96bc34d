package delivery

import (
	"context"
	"errors"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestDo(t *testing.T) {
	boom := errors.New("boom")
	throttled := &Error{Code: "THROTTLING", Message: "slow down"}
	denied := &Error{Code: "NO_PERMISSIONS", Message: "no", Permanent: true}
	s := time.Second
	for _, tt := range []struct {
		name   string
		policy Policy
		errs   []error // Of the attempts; the last one repeats.
		at     []time.Duration
		want   error
	}{
		{"at once", Default, []error{nil}, []time.Duration{0}, nil},
		{"at the third attempt", Default, []error{boom, boom, nil}, []time.Duration{0, 1 * s, 3 * s}, nil},
		{
			"no more retries",
			Policy{Retries: 2, MaxAge: time.Hour},
			[]error{boom, throttled},
			[]time.Duration{0, 1 * s, 3 * s},
			&GaveUp{Retries: 2, Exhausted: MaximumRetryAttempts, Code: "THROTTLING", Err: throttled},
		},
		{
			"too old",
			Policy{Retries: 100, MaxAge: 100 * s},
			[]error{boom},
			[]time.Duration{0, 1 * s, 3 * s, 7 * s, 15 * s, 31 * s, 61 * s, 91 * s},
			&GaveUp{Retries: 7, Exhausted: MaximumEventAge, Code: "SDK_CLIENT_ERROR", Err: boom},
		},
		{"no policy", Policy{}, []error{boom}, []time.Duration{0}, &GaveUp{Exhausted: MaximumRetryAttempts, Code: "SDK_CLIENT_ERROR", Err: boom}},
		{"of no use", Default, []error{boom, denied}, []time.Duration{0, 1 * s}, &GaveUp{Retries: 1, Code: "NO_PERMISSIONS", Err: denied}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				var at []time.Duration
				got := tt.policy.Do(t.Context(), func(context.Context) error {
					at = append(at, time.Since(began))
					return tt.errs[min(len(at), len(tt.errs))-1]
				})
				if !reflect.DeepEqual(tt.want, got) {
					t.Errorf("%#v, want %#v", got, tt.want)
				}
				if diff := cmp.Diff(tt.at, at); diff != "" {
					t.Error(diff)
				}
			})
		})
	}
}

func TestDoEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		boom, n := errors.New("boom"), 0
		err := Default.Do(ctx, func(context.Context) error { n++; return boom })
		if err != boom || n != 2 {
			t.Errorf("%v after %d attempts", err, n)
		}
	})
}
