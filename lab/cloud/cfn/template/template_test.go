package template

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSymbolic(t *testing.T) {
	for in, want := range map[string]any{
		`{"Ref": "Queue"}`:                 "${Queue}",
		`{"Fn::GetAtt": ["Queue", "Arn"]}`: "${Queue.Arn}",
		`{"Fn::GetAtt": "Queue.Arn"}`:      "${Queue.Arn}",
		`{"Fn::Join": ["", ["arn:", {"Ref": "AWS::Partition"}, ":ecs:", 5]]}`: "arn:${AWS::Partition}:ecs:5",
		`{"Fn::Join": [",", ["a", {"Fn::GetAtt": ["B", "C.D"]}]]}`:            "a,${B.C.D}",
		`{"Fn::Sub": "bucket-${AWS::Region}"}`:                                "bucket-${AWS::Region}",
		`{"Fn::Sub": ["${a}-${B.Arn}", {"a": {"Ref": "A"}}]}`:                 "${A}-${B.Arn}",
		`{"Fn::Select": [1, {"Fn::Split": ["|", {"Ref": "Rule"}]}]}`:          `${Fn::Select [1,'${Fn::Split ['|','${Rule}']}']}`,
		`[{"Ref": "AWS::NoValue"}, "a"]`:                                      []any{"a"},
		`{"a": {"Ref": "AWS::NoValue"}, "b": {"Ref": "C"}}`:                   map[string]any{"b": "${C}"},
		`{"Ref": "a", "other": 1}`:                                            map[string]any{"Ref": "a", "other": json.Number("1")},
	} {
		read, err := Parse([]byte(`{"Resources": {"R": {"Type": "T", "Properties": {"p": ` + in + `}}}}`))
		if err != nil {
			t.Fatal(err)
		}
		got, err := read.Symbolic()
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got.Resources[0].At("p")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", in, diff)
		}
	}
}
