package template

import (
	"reflect"
	"strings"
)

func checkRule(d *Deployment, f *findings) {
	rules := d.Sluice.of("AWS::Events::Rule")
	if len(rules) != 1 {
		f.addAt("the stack "+d.Sluice.Name, "make one", "has %d rules", len(rules))
		return
	}
	r, events := rules[0], d.Config.Events
	want := map[string]any{"source": []any{events.Source}, "detail-type": []any{events.DetailType}}
	if got := r.at("EventPattern"); !reflect.DeepEqual(got, want) {
		f.add(r, "match the configured source and detail type, and nothing else", "EventPattern is %v, not %v", got, want)
	}
	bus := r.text("EventBusName")
	if bus == "" {
		bus = "default"
	}
	if lastPart(bus) != lastPart(events.Bus) {
		f.add(r, "set it to events.bus", "EventBusName is %q, not %q", bus, events.Bus)
	}
	if state := r.text("State"); state != "ENABLED" && state != "" {
		f.add(r, "enable it", "State is %s", state)
	}
	function := d.Functions[scaleOut]
	targets := r.list("Targets")
	if len(targets) != 1 || text(at(targets[0], "Arn")) != arnOf(function) {
		f.add(r, "give it the one target ScaleOut", "Targets are %v", targets)
	}
	for _, t := range targets {
		for _, key := range []string{"Input", "InputPath", "InputTransformer"} {
			if at(t, key) != nil {
				f.add(r, "remove it: ScaleOut reads the whole event", "sets %s of its target", key)
			}
		}
	}
	permitted := false
	d.each(func(s *Stack, p *Resource) {
		if s != d.Sluice || p.text("Principal") != "events.amazonaws.com" || p.text("SourceArn") != arnOf(r) {
			f.add(p, "let in the rule alone", "lets %s invoke a function, for %q", p.text("Principal"), p.text("SourceArn"))
			return
		}
		invokes := d.Sluice.target(p.text("FunctionName"), function.Type) == function
		permitted = permitted || invokes && p.text("Action") == "lambda:InvokeFunction"
	}, "AWS::Lambda::Permission")
	if !permitted {
		f.add(r, "add an AWS::Lambda::Permission for it", "may not invoke ScaleOut")
	}
}

// lastPart is the name at the end of an ARN, or the bare name.
func lastPart(nameOrARN string) string { return nameOrARN[strings.LastIndexByte(nameOrARN, '/')+1:] }
