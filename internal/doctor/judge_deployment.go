package doctor

import (
	"errors"
	"strings"

	"sluice/internal/scaler"
)

func awsIdentity(j *judgement, f *Facts) {
	if f.Caller.Err != nil {
		j.find("", "AWS does not take the credentials: %v", f.Caller.Err)
	}
}

func callerRights(j *judgement, f *Facts) {
	if len(f.Denied) > 0 {
		j.find("", "%s may not call %s", f.Caller.Value, strings.Join(f.Denied, ", "))
	}
}

func stackMissing(j *judgement, f *Facts) {
	switch s, ok := known(j, "", f.Stack); {
	case !ok:
	case !s.Exists:
		j.find("", "there is no stack %s in Region %s", s.Name, f.Region)
	case s.Problem != "":
		j.find("", "%s", s.Problem)
	}
}

// errNoStack is why nothing can be said of what the stack would have made.
var errNoStack = errors.New("the stack is not there, or is another one")

// whenDeployed calls judge where the stack is there.
func whenDeployed(judge func(*judgement, *Facts)) func(*judgement, *Facts) {
	return func(j *judgement, f *Facts) {
		switch s, ok := known(j, "", f.Stack); {
		case !ok:
		case !s.Exists || s.Problem != "":
			j.unchecked("", errNoStack)
		default:
			judge(j, f)
		}
	}
}

func stackUnsettled(j *judgement, f *Facts) {
	status := f.Stack.Value.Status
	if !strings.HasSuffix(status, "_COMPLETE") || strings.Contains(status, "ROLLBACK") || strings.HasPrefix(status, "DELETE") {
		j.find("", "stack %s is %s", f.Stack.Value.Name, status)
	}
}

// subject names a function in findings.
func (f Function) subject() string { return "function " + f.Name }

// functions calls judge for each function that is there.
func functions(judge func(*judgement, Function, FunctionState)) func(*judgement, *Facts) {
	return whenDeployed(func(j *judgement, f *Facts) {
		for _, fn := range f.Functions {
			if s, ok := known(j, fn.subject(), fn.State); ok {
				judge(j, fn, s)
			}
		}
	})
}

func functionMissing(j *judgement, fn Function, s FunctionState) {
	if !s.Exists {
		j.find(fn.subject(), "it is not there any more, although the stack has it")
	}
}

func functionStopped(j *judgement, fn Function, s FunctionState) {
	switch {
	case !s.Exists:
		j.unchecked(fn.subject(), errors.New("the function is not there"))
	case s.Reserved != nil && *s.Reserved == 0:
		j.find(fn.subject(), "its reserved concurrency is 0, so that Lambda refuses every call")
	case s.State != "" && s.State != "Active":
		j.find(fn.subject(), "it is %s: %s", s.State, s.Reason)
	}
}

func functionRights(j *judgement, f *Facts) {
	for _, r := range f.Rights {
		if lacks, ok := known(j, r.Whose, r.Lacks); ok && len(lacks) > 0 {
			j.find(r.Whose, "its role lacks %s", strings.Join(lacks, "; "))
		}
	}
}

func staleDeployment(j *judgement, f *Facts) {
	a, ok := known(j, "", f.Answer)
	switch {
	case !ok:
	case a.Config == "":
		j.unchecked("", errors.New("the Check function does not tell which sluice.yaml it has: it is of an older version"))
	case a.Config != f.Config.Fingerprint():
		j.find("", "the sluice.yaml that is deployed differs from this one")
	}
}

func functionBlind(j *judgement, f *Facts) {
	a, ok := known(j, "", f.Answer)
	if !ok {
		return
	}
	for _, t := range a.Plan.Targets {
		if text := unseen(t); text != "" {
			j.find("target "+t.Record.Target, "the Check function cannot see it: %s", text)
		}
	}
}

// unseen is what kept a look from seeing a target. Tags that cannot be understood are among a look's errors, and keep it from nothing.
func unseen(t scaler.TargetPlan) string {
	text := t.Record.Error
	for _, tag := range t.Overrides.Bad {
		text = strings.ReplaceAll(text, tag, "")
	}
	return strings.Trim(text, "; ")
}
