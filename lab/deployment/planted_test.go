package deployment

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// planted are changes of the code, each of which has a function call one operation more or less. They are made in memory.
var planted = []struct {
	name, file, old, new string
	more, less           map[string]string // By function: the operation.
}{
	{
		name: "a known operation where it was not called", file: "internal/scaler/scaleout.go",
		old: "	if decision.Resume > 0 {\n",
		new: "	_ = s.Fleet.Release(ctx, d.Target.Ref, nil)\n	if decision.Resume > 0 {\n",
		// Release is made to list services below.
		more: map[string]string{ScaleOut: "ecs.UpdateTaskProtection"},
	},
	{
		name: "the last call of an operation is gone", file: "internal/scaler/scaleout.go",
		old: "s.Fleet.SetTags(ctx, o.service.ARN, map[string]string{TagFloor: f.String()})", new: "nil",
		less: map[string]string{ScaleOut: "ecs.TagResource"},
	},
	{
		name: "a paginator in an adapter", file: "internal/fleet/protect.go",
		old: "func (f *Fleet) Release(ctx context.Context, ref policy.ServiceRef, ids []string) error {\n",
		new: "func (f *Fleet) Release(ctx context.Context, ref policy.ServiceRef, ids []string) error {\n" +
			"	_, _ = ecs.NewListServicesPaginator(f.api.(*ecs.Client), &ecs.ListServicesInput{}).NextPage(ctx)\n",
		more: map[string]string{ScaleOut: "ecs.ListServices", Check: "ecs.ListServices", ScaleIn: "ecs.ListServices"},
	},
	{
		name: "a waiter", file: "internal/scaler/scalein.go",
		old: "import (\n", new: "import (\n	sdk \"github.com/aws/aws-sdk-go-v2/service/ecs\"\n",
	},
	{
		name: "a waiter", file: "internal/scaler/scalein.go",
		old:  "	defer lock.unlock(ctx)\n",
		new:  "	_ = sdk.NewDaemonActiveWaiter(new(sdk.Client)).Wait(ctx, nil, 0)\n	defer lock.unlock(ctx)\n",
		more: map[string]string{ScaleIn: "ecs.DescribeDaemon"},
	},
	{
		name: "a closure that a library calls, by a method that is a value", file: "lambdas/check/main.go",
		old: "import (\n", new: "import (\n	\"time\"\n	\"github.com/aws/aws-sdk-go-v2/service/ssm\"\n",
	},
	{
		name: "a closure that a library calls, by a method that is a value", file: "lambdas/check/main.go",
		old:  "	function.StartWith(",
		new:  "	later := map[int]any{1: new(ssm.Client).DeleteParameter}\n	time.AfterFunc(0, func() { println(later[1]) })\n	function.StartWith(",
		more: map[string]string{Check: "ssm.DeleteParameter"},
	},
}

// TestPlanted has each of the changes found, and nothing else.
func TestPlanted(t *testing.T) {
	t.Parallel()
	absolute, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string][]string{}
	for f, calls := range derive(t) {
		want[f] = operations(calls)
	}
	overlay := map[string][]byte{}
	for _, p := range planted {
		file := filepath.Join(absolute, p.file)
		if overlay[file] == nil {
			if overlay[file], err = os.ReadFile(file); err != nil {
				t.Fatal(err)
			}
		}
		changed := strings.Replace(string(overlay[file]), p.old, p.new, 1)
		if changed == string(overlay[file]) {
			t.Fatalf("%s: %s has no such text any more: %s", p.name, p.file, p.old)
		}
		overlay[file] = []byte(changed)
		for f, op := range p.more {
			want[f] = append(want[f], op)
		}
		for f, op := range p.less {
			want[f] = slices.DeleteFunc(want[f], func(o string) bool { return o == op })
		}
	}
	calls, err := Calls(absolute, overlay)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range Functions() {
		slices.Sort(want[f])
		if diff := cmp.Diff(want[f], operations(calls[f])); diff != "" {
			t.Errorf("%s (-want +got):\n%s", f, diff)
		}
	}

	right, c := fixture(t)
	_, err = Compare([]byte(right), calls, c)
	const unknown = "scaleout calls ecs.ListServices by way of scaleout.main > (*scaler.Scaler).ScaleOut > (*fleet.Fleet).Release > "
	if err == nil || !strings.Contains(err.Error(), unknown) || !strings.Contains(err.Error(), "add to actions.go") {
		t.Errorf("operations that are not known: %v", err)
	}
	for f := range calls { // Those that are known.
		calls[f] = slices.DeleteFunc(calls[f], func(c Call) bool { return actions[c.Operation] == (action{}) })
	}
	findings, err := Compare([]byte(right), calls, c)
	if err != nil {
		t.Fatal(err)
	}
	got := lines(findings)
	slices.Sort(got)
	const (
		tooMany = "scaleout: ecs:TagResource: is granted, but nothing calls it"
		tooFew  = "scaleout: ecs:UpdateTaskProtection: is missing, though needed: scaleout.main > (*scaler.Scaler).ScaleOut > (*fleet.Fleet).Release > "
	)
	if len(got) != 2 || got[0] != tooMany || !strings.HasPrefix(got[1], tooFew) {
		t.Errorf("findings: %q", got)
	}
}

func TestCallsOfCodeThatDoesNotCompile(t *testing.T) {
	t.Parallel()
	absolute, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	broken := []byte("package main\n\nfunc main() { nothing() }\n")
	_, err = Calls(absolute, map[string][]byte{filepath.Join(absolute, "lambdas/check/main.go"): broken})
	if err == nil || !strings.Contains(err.Error(), "undefined: nothing") {
		t.Errorf("error %v", err)
	}
}
