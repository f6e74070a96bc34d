package deployment

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sluice/lab/cloud/cfn/template"
)

// Which command needs which of the two policies of docs/deploy.md, "Who may operate".
var (
	looking = []string{"status", "plan", "why", "cost", "schedule", "doctor", "exporter"}
	acting  = []string{"pause", "resume", "set", "drain", "trigger"}
)

// others are the actions of operations that no function calls, from the Service Authorization Reference as those of actions.go. What has
// none is allowed to everybody.
var others = map[string]string{
	"applicationautoscaling.DescribeScalableTargets": "application-autoscaling:DescribeScalableTargets",
	"cloudformation.DescribeStacks":                  "cloudformation:DescribeStacks",
	"cloudformation.GetTemplate":                     "cloudformation:GetTemplate",
	"cloudwatch.GetMetricData":                       "cloudwatch:GetMetricData",
	"ecs.UntagResource":                              "ecs:UntagResource",
	"eventbridge.DescribeRule":                       "events:DescribeRule",
	"eventbridge.ListTargetsByRule":                  "events:ListTargetsByRule",
	"eventbridge.PutEvents":                          "events:PutEvents",
	"iam.SimulatePrincipalPolicy":                    "iam:SimulatePrincipalPolicy",
	"lambda.GetFunctionConcurrency":                  "lambda:GetFunctionConcurrency",
	"lambda.GetFunctionConfiguration":                "lambda:GetFunctionConfiguration",
	"lambda.Invoke":                                  "lambda:InvokeFunction",
	"scheduler.GetSchedule":                          "scheduler:GetSchedule",
	"sfn.DescribeExecution":                          "states:DescribeExecution",
	"sfn.DescribeStateMachine":                       "states:DescribeStateMachine",
	"sfn.ListExecutions":                             "states:ListExecutions",
	"sfn.StartExecution":                             "states:StartExecution",
	"sqs.GetQueueAttributes":                         "sqs:GetQueueAttributes",
	"sts.GetCallerIdentity":                          "",
}

// withoutResource are the actions for which AWS knows no resource: they alone may stand with "*".
var withoutResource = []string{
	"application-autoscaling:DescribeScalableTargets", "cloudwatch:GetMetricData", "ecs:DescribeTaskDefinition", "ecs:ListTasks",
}

// TestWhoMayOperate holds the two policies to the calls that the code of the commands can reach: each allows all that its commands call,
// the second one what the first does not, and nothing else.
func TestWhoMayOperate(t *testing.T) {
	t.Parallel()
	calls, err := Commands(root, append(slices.Clone(looking), acting...))
	if err != nil {
		t.Fatal(err)
	}
	need := func(commands []string) (names []string) {
		for _, command := range commands {
			if len(calls[command]) == 0 {
				t.Errorf("%s calls nothing: it has been looked for in the wrong place", command)
			}
			for _, c := range calls[command] {
				name, known := others[c.Operation]
				if own, ok := actions[c.Operation]; ok {
					name, known = own.name, true
				}
				if !known {
					t.Errorf("sluice %s calls %s by way of %s: add to others what that asks of IAM", command, c.Operation, way(c))
				}
				// An event acts, whoever sends it: doctor does with --events.
				if name != "" && (name != "events:PutEvents" || slices.Contains(acting, command)) {
					names = append(names, name)
				}
			}
		}
		return set(names)
	}
	toLook, toAct := policies(t)
	wanted := need(looking)
	if diff := cmp.Diff(wanted, toLook); diff != "" {
		t.Errorf("to look: called (-) and in docs/deploy.md (+):\n%s", diff)
	}
	more := slices.DeleteFunc(need(acting), func(a string) bool { return slices.Contains(wanted, a) })
	if diff := cmp.Diff(more, toAct); diff != "" {
		t.Errorf("to act: called (-) and in docs/deploy.md (+):\n%s", diff)
	}
}

// policies are the actions of the two policies in docs/deploy.md.
func policies(t *testing.T) (toLook, toAct []string) {
	t.Helper()
	page, err := os.ReadFile(root + "/docs/deploy.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(page), "\n## Who may operate\n")
	section, _, _ = strings.Cut(section, "\n## ")
	blocks := strings.Split(section, "```json\n")
	if !found || len(blocks) != 3 {
		t.Fatalf("docs/deploy.md has no section with two policies, but %d blocks", len(blocks)-1)
	}
	var out [2][]string
	for i, block := range blocks[1:] {
		text, _, _ := strings.Cut(block, "```")
		var policy struct{ Statement []map[string]any }
		if err := json.Unmarshal([]byte(text), &policy); err != nil {
			t.Fatalf("policy %d: %v", i+1, err)
		}
		for _, s := range policy.Statement {
			for _, a := range template.Texts(s["Action"]) {
				out[i] = append(out[i], a)
				if slices.Contains(template.Texts(s["Resource"]), "*") != slices.Contains(withoutResource, a) {
					t.Errorf("policy %d allows %s on %v", i+1, a, s["Resource"])
				}
			}
		}
		if length := len(strings.Join(strings.Fields(text), "")); length > 6144 {
			t.Errorf("policy %d has %d characters, and IAM takes 6144 of a managed one", i+1, length)
		}
		if slices.Sort(out[i]); len(slices.Compact(slices.Clone(out[i]))) != len(out[i]) {
			t.Errorf("policy %d allows something twice: %q", i+1, out[i])
		}
	}
	return out[0], out[1]
}
