package scaler

import (
	"context"
	"fmt"
	"time"

	"sluice/internal/policy"
)

// shielded says whether the application, or whoever, protects the task for long enough.
func (r *release) shielded(t policy.Task) bool {
	return t.ProtectedUntil.After(r.Now().Add(protectMargin))
}

// protectRest protects the tasks that stay, and returns until when it has protected which. It leaves alone what is protected
// already; if that is about to end, the scale-in has to wait, since it must not be prolonged on somebody else's behalf.
func (r *release) protectRest(ctx context.Context, leaving []*victim) (map[string]time.Time, error) {
	if r.all() {
		return nil, nil
	}
	// As they are now: what the application has protected since the drain began is its own as well.
	tasks, err := r.Fleet.Tasks(ctx, r.target.Ref)
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, t := range tasks {
		leaves := among(leaving, t)
		switch {
		case t.State == policy.TaskStopping || leaves || r.shielded(t):
		case t.ProtectedUntil.After(r.Now()):
			return nil, nil // The last look will find it without.
		default:
			ids = append(ids, t.ID)
		}
	}
	protected, err := r.Fleet.Protect(ctx, r.target.Ref, ids, protectFor)
	if err != nil {
		r.unprotect(ctx, protected)
		return nil, fmt.Errorf("scale in %s: the tasks that stay cannot all be protected: %w", r.target.Name, err)
	}
	return protected, nil
}

// unprotect ends the protection that protectRest began, but for tasks whose protection somebody else has changed since. If it
// fails, the protection expires.
func (r *release) unprotect(ctx context.Context, protected map[string]time.Time) {
	if len(protected) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	tasks, err := r.Fleet.Tasks(ctx, r.target.Ref)
	if err == nil {
		var ids []string
		for _, t := range tasks {
			if until, ours := protected[t.ID]; ours && t.ProtectedUntil.Equal(until) {
				ids = append(ids, t.ID)
			}
		}
		if len(ids) > 0 {
			err = r.Fleet.Release(ctx, r.target.Ref, ids)
		}
	}
	if err != nil {
		r.Log.WarnContext(ctx, "protection left to expire", "target", r.target.Name, "error", err.Error())
	}
}
