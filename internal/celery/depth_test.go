package celery

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// array and bulk are answers in Redis's protocol.
func array(parts ...string) string {
	return fmt.Sprintf("*%d\r\n%s", len(parts), strings.Join(parts, ""))
}

// TestMeasure holds what is made of a server's answers, word by word: of one list and what workers hold.
func TestMeasure(t *testing.T) {
	const one, none, all = ":1\r\n", ":0\r\n", ":1\r\n"
	sha, tag := strings.Repeat("a", 40), strings.Repeat("t", 1024)
	some := array(one, all, bulk("m"))
	nothing := array(none, all)
	few := func(l list, h hash) depth {
		return depth{lists: map[string]list{"video": l}, unacked: h, heads: map[string]string{}}
	}
	wrong := func(n int) error { return fmt.Errorf("the server says %d, which is no count", n) }
	headed := few(list{len: 201}, hash{len: 2001})
	headed.heads["video"] = sha
	for name, c := range map[string]struct {
		llen, hlen, zcount string // none by default.
		heads, messages    string // "" is a server without scripts.
		want               depth
	}{
		"nothing":            {want: few(list{}, hash{})},
		"too many to read":   {llen: ":201\r\n", hlen: ":2001\r\n", heads: array(bulk(sha)), messages: array(nothing, some), want: headed},
		"a digest too long":  {llen: one, heads: array(bulk(sha + "a")), want: few(list{len: 1}, hash{})},
		"too few digests":    {llen: one, heads: array(), want: few(list{len: 1}, hash{})},
		"too many digests":   {llen: one, heads: array(bulk(sha), bulk(sha)), want: few(list{len: 1}, hash{})},
		"no length":          {llen: ":-1\r\n", want: few(list{err: wrong(-1)}, hash{})},
		"no length held":     {hlen: ":4294967296\r\n", want: few(list{}, hash{err: wrong(4294967296)})},
		"no length expired":  {zcount: ":-1\r\n", want: few(list{}, hash{err: wrong(-1)})},
		"messages":           {llen: ":2\r\n", messages: array(nothing, some), want: few(list{len: 1, read: true, messages: []string{"m"}}, hash{read: true})},
		"messages, not all":  {llen: ":2\r\n", messages: array(nothing, array(":2\r\n", none)), want: few(list{len: 2}, hash{read: true})},
		"no list":            {llen: one, messages: array(nothing, array()), want: few(list{len: 1}, hash{read: true})},
		"a list of one word": {llen: one, messages: array(nothing, array(one)), want: few(list{len: 1}, hash{read: true})},
		"a list without end": {llen: one, messages: array(nothing, array(append([]string{one, all}, repeat(201, bulk("m"))...)...)), want: few(list{len: 1}, hash{read: true})},
		"no number":          {llen: one, messages: array(array(bulk("1"), all), array(bulk("1"), all)), want: few(list{len: 1}, hash{})},
		"no count":           {llen: one, messages: array(array(":-1\r\n", all), array(":4294967296\r\n", all)), want: few(list{len: 1}, hash{})},
		"held": {
			hlen:     one,
			messages: array(array(":3\r\n", all, bulk(tag), none, bulk("x"), bulk("2"), one, bulk("y"), bulk("3")), nothing),
			want:     few(list{read: true}, hash{len: 3, read: true, entries: []entry{{tag, false, "x"}, {"2", true, "y"}}}),
		},
		"held, with a tag too long": {
			hlen:     one,
			messages: array(array(":3\r\n", all, bulk("1"), none, bulk("x"), bulk(tag+"t"), none, bulk("y"), bulk("3"), none, bulk("z")), nothing),
			want:     few(list{read: true}, hash{len: 3, entries: []entry{{"1", false, "x"}}}),
		},
		"held, and not read": {hlen: one, messages: array(array(one, none), nothing), want: few(list{read: true}, hash{len: 1})},
		"held, as many as are read": {
			hlen: ":2000\r\n", messages: array(array(append([]string{one, all}, repeat(6000, none)...)...), nothing),
			want: few(list{read: true}, hash{len: 1, read: true, entries: make([]entry, 2000)}),
		},
		"held, without end": {hlen: one, messages: array(array(append([]string{one, all}, repeat(6001, none)...)...), nothing), want: few(list{read: true}, hash{len: 1})},
	} {
		t.Run(name, func(t *testing.T) {
			scripts := []string{c.heads, c.messages}
			o := lookOptions(respServer(t, func(command []string) string {
				answer := map[string]string{"LLEN": c.llen, "HLEN": c.hlen, "ZCOUNT": c.zcount}[command[0]]
				if command[0] == "EVAL" {
					answer, scripts = scripts[0], scripts[1:]
				}
				if answer == "" && (command[0] == "EVAL" || command[0] == "HELLO") {
					return ordinary(command)
				}
				if answer == "" {
					return none
				}
				return answer
			}))
			o.PrioritySteps = []int{0}
			got, err := newBroker(t, o).measure(t.Context(), []string{"video"}, noon)
			if err != nil {
				t.Fatal(err)
			}
			text := cmp.Transformer("text", message)
			if diff := cmp.Diff(c.want, got, cmp.AllowUnexported(depth{}, list{}, hash{}, entry{}), text, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
