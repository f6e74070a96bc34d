package events

import "testing"

func TestPatterns(t *testing.T) {
	const event = `{"source":"custom.celery.monitor","detail-type":"celery.task.queue_full","account":"123456789012",
		"resources":["arn:a","arn:b"],"detail":{"scale_to":3,"load":2.50,"queue":"video","empty":"","nothing":null,"none":[],
		"object":{},"urgent":true,"ip":"10.0.0.7","tags":["Red","blue"],"text":"a*b\\c",
		"items":[{"kind":"x","n":1},{"kind":"y","n":2}],"deep":[["in"]]}}`
	for _, tt := range []struct {
		name, pattern string
		want          bool
	}{
		{"the rule of the product", `{"source":["custom.celery.monitor"],"detail-type":["celery.task.queue_full"]}`, true},
		{"any of a list", `{"source":["other","custom.celery.monitor"]}`, true},
		{"all of the fields", `{"source":["custom.celery.monitor"],"detail-type":["other"]}`, false},
		{"exact is case-sensitive", `{"detail":{"queue":["Video"]}}`, false},
		{"a value in an array", `{"resources":["arn:b"]}`, true},
		{"no value in an array", `{"resources":["arn:c"]}`, false},
		{"null", `{"detail":{"nothing":[null]}}`, true},
		{"null is not absent", `{"detail":{"missing":[null]}}`, false},
		{"the empty string", `{"detail":{"empty":[""]}}`, true},
		{"the empty string is not null", `{"detail":{"nothing":[""]}}`, false},
		{"true", `{"detail":{"urgent":[true]}}`, true},
		{"true is no string", `{"detail":{"urgent":["true"]}}`, false},
		{"a number", `{"detail":{"scale_to":[3]}}`, true},
		{"a number is no string", `{"detail":{"scale_to":["3"]}}`, false},
		{"numbers are equal as written", `{"detail":{"load":[2.50]}}`, true},
		{"and only so", `{"detail":{"load":[2.5]}}`, false},
		{"numeric compares values", `{"detail":{"load":[{"numeric":["=",2.5]}]}}`, true},
		{"numeric range", `{"detail":{"scale_to":[{"numeric":[">",0,"<=",3]}]}}`, true},
		{"numeric out of range", `{"detail":{"scale_to":[{"numeric":["<",3]}]}}`, false},
		{"numeric on a string", `{"detail":{"queue":[{"numeric":[">",0]}]}}`, false},
		{"numeric on true", `{"detail":{"urgent":[{"numeric":[">",0]}]}}`, false},
		{"prefix", `{"source":[{"prefix":"custom."}]}`, true},
		{"prefix of another", `{"source":[{"prefix":"aws."}]}`, false},
		{"prefix, ignoring case", `{"source":[{"prefix":{"equals-ignore-case":"CUSTOM"}}]}`, true},
		{"suffix", `{"source":[{"suffix":"monitor"}]}`, true},
		{"suffix, ignoring case", `{"source":[{"suffix":{"equals-ignore-case":"MONITOR"}}]}`, true},
		{"equals-ignore-case", `{"detail":{"tags":[{"equals-ignore-case":"RED"}]}}`, true},
		{"exists", `{"detail":{"queue":[{"exists":true}]}}`, true},
		{"exists for null", `{"detail":{"nothing":[{"exists":true}]}}`, true},
		{"not exists", `{"detail":{"missing":[{"exists":false}]}}`, true},
		{"not exists under a missing object", `{"detail":{"missing":{"deeper":[{"exists":false}]}}}`, true},
		{"exists works on leaves", `{"detail":[{"exists":true}]}`, false},
		{"an empty array has no value", `{"detail":{"none":[{"exists":false}]}}`, true},
		{"an empty object has no value", `{"detail":{"object":[{"exists":false}]}}`, true},
		{"anything-but", `{"detail":{"queue":[{"anything-but":"audio"}]}}`, true},
		{"anything-but itself", `{"detail":{"queue":[{"anything-but":"video"}]}}`, false},
		{"anything-but a list", `{"detail":{"queue":[{"anything-but":["audio","video"]}]}}`, false},
		{"anything-but numbers", `{"detail":{"scale_to":[{"anything-but":[1,2]}]}}`, true},
		{"anything-but needs a value", `{"detail":{"missing":[{"anything-but":"x"}]}}`, false},
		{"anything-but for one of an array", `{"detail":{"tags":[{"anything-but":"Red"}]}}`, true},
		{"anything-but prefix", `{"detail":{"queue":[{"anything-but":{"prefix":"vid"}}]}}`, false},
		{"anything-but prefixes", `{"detail":{"queue":[{"anything-but":{"prefix":["a","b"]}}]}}`, true},
		{"anything-but suffix", `{"detail":{"queue":[{"anything-but":{"suffix":"eo"}}]}}`, false},
		{"anything-but, ignoring case", `{"detail":{"queue":[{"anything-but":{"equals-ignore-case":["VIDEO"]}}]}}`, false},
		{"anything-but wildcard", `{"detail":{"queue":[{"anything-but":{"wildcard":"v*o"}}]}}`, false},
		{"cidr", `{"detail":{"ip":[{"cidr":"10.0.0.0/24"}]}}`, true},
		{"cidr of others", `{"detail":{"ip":[{"cidr":"10.0.1.0/24"}]}}`, false},
		{"cidr, IPv6", `{"detail":{"ip":[{"cidr":"::/0"}]}}`, false},
		{"wildcard", `{"detail":{"queue":[{"wildcard":"v*d*o"}]}}`, true},
		{"wildcard does not overlap", `{"detail":{"queue":[{"wildcard":"video*video"}]}}`, false},
		{"wildcard without an asterisk", `{"detail":{"queue":[{"wildcard":"video"}]}}`, true},
		{"wildcard with escapes", `{"detail":{"text":[{"wildcard":"a\\*b\\\\*"}]}}`, true},
		{"$or, first", `{"$or":[{"source":["custom.celery.monitor"]},{"detail":{"queue":["x"]}}]}`, true},
		{"$or, second, nested", `{"detail":{"$or":[{"queue":["x"]},{"scale_to":[3]}]}}`, true},
		{"$or, none", `{"detail":{"$or":[{"queue":["x"]},{"scale_to":[4]}],"urgent":[true]}}`, false},
		{"$or and the other fields", `{"detail":{"$or":[{"queue":["video"]},{"scale_to":[4]}],"urgent":[false]}}`, false},
		{"objects in an array", `{"detail":{"items":{"kind":["y"]}}}`, true},
		{"of one and the same object", `{"detail":{"items":{"kind":["x"],"n":[2]}}}`, false},
		{"arrays in arrays", `{"detail":{"deep":["in"]}}`, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, err := ParsePattern([]byte(tt.pattern))
			if err != nil {
				t.Fatal(err)
			}
			if got := p.Matches([]byte(event)); got != tt.want {
				t.Errorf("%s matches: %v", tt.pattern, got)
			}
		})
	}
	p, err := ParsePattern([]byte(`{"a":[{"exists":false}]}`))
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{``, `{`, `[]`, `null`, `"x"`, `{} {}`} {
		if p.Matches([]byte(bad)) {
			t.Errorf("the event %q matched", bad)
		}
	}
}

func TestPatternsThatAreRefused(t *testing.T) {
	for _, pattern := range []string{
		``, `{`, `[]`, `"x"`, `{}`, `{} {}`, `{"source":"x"}`, `{"source":[]}`, `{"detail":{}}`, `{"a":[["x"]]}`,
		`{"a":[{}]}`, `{"a":[{"prefix":"x","suffix":"y"}]}`, `{"a":[{"like":"x"}]}`, `{"a":[{"prefix":1}]}`,
		`{"a":[{"prefix":{"suffix":"x"}}]}`, `{"a":[{"exists":"yes"}]}`, `{"a":[{"numeric":["<"]}]}`, `{"a":[{"numeric":["~",1]}]}`,
		`{"a":[{"numeric":["<","1"]}]}`, `{"a":[{"numeric":["<",1e10]}]}`, `{"a":[{"cidr":"10.0.0.0"}]}`, `{"a":[{"cidr":1}]}`,
		`{"a":[{"wildcard":"a**b"}]}`, `{"a":[{"wildcard":"a\\b"}]}`, `{"a":[{"wildcard":"a\\"}]}`, `{"a":[{"anything-but":[]}]}`,
		`{"a":[{"anything-but":[true]}]}`, `{"a":[{"anything-but":null}]}`, `{"a":[{"anything-but":{"numeric":["<",1]}}]}`,
		`{"a":[{"anything-but":{"prefix":[]}}]}`, `{"a":[{"anything-but":{"prefix":[1]}}]}`, `{"$or":[{"a":[1]},{}]}`,
	} {
		if _, err := ParsePattern([]byte(pattern)); err == nil {
			t.Errorf("%s was accepted", pattern)
		}
	}
}
