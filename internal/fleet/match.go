package fleet

import (
	"net/netip"
	"slices"
	"strings"

	"sluice/internal/policy"
)

// Match tells in which of the tasks each node runs: node name to task ID. It asks nobody.
//
// A Celery worker is called name@host. On Fargate the host is ip-a-b-c-d with a domain behind it where the VPC has DNS host
// names, a-b-c-d being the task's private address, and otherwise the container's runtime id, which is the task's id and a
// number. Whoever names workers himself puts one of these in, on either side of the @, if they are to be told apart. So all
// forms come to one rule: a node runs in the task whose address, id or runtime id stands in its name as a whole word.
//
// It never guesses. A node whose name fits two tasks is in neither: it may bear two ids, and an address may have passed from
// a task on its way out to a new one. A task may have several nodes.
func (f *Fleet) Match(nodes []string, tasks []policy.Task) map[string]string {
	marks := marksOf(tasks)
	out := map[string]string{}
	for _, node := range nodes {
		if id, ok := marks.find(node); ok {
			out[node] = id
		}
	}
	return out
}

// addressMark begins a word that stands for an address.
const addressMark = "ip-"

// marks are the words that tell tasks: to each the IDs of its tasks.
type marks struct {
	tasks   map[string][]string
	lengths []int // Of the words, each once: few, whatever the number of tasks.
}

func marksOf(tasks []policy.Task) marks {
	m := marks{tasks: map[string][]string{}}
	add := func(word, id string) {
		if word == "" || id == "" || slices.Contains(m.tasks[word], id) {
			return
		}
		m.tasks[word] = append(m.tasks[word], id)
		if !slices.Contains(m.lengths, len(word)) {
			m.lengths = append(m.lengths, len(word))
		}
	}
	for _, t := range tasks {
		add(t.ID, t.ID)
		for _, runtime := range t.RuntimeIDs {
			add(runtime, t.ID)
		}
		if a, err := netip.ParseAddr(t.PrivateIPv4); err == nil && a.Is4() {
			add(addressMark+strings.ReplaceAll(a.String(), ".", "-"), t.ID)
		}
	}
	return m
}

// find returns the ID of the one task that a node's name tells; false if it tells none or more.
func (m marks) find(node string) (string, bool) {
	if !strings.Contains(node, "@") {
		return "", false // No node name of Celery's.
	}
	found := ""
	for start := range len(node) {
		if start > 0 && inWord(node[start-1]) {
			continue
		}
		for _, n := range m.lengths {
			end := start + n
			if end > len(node) || !wholeTo(node, start, end) {
				continue
			}
			for _, id := range m.tasks[node[start:end]] {
				if found != "" && found != id {
					return "", false
				}
				found = id
			}
		}
	}
	return found, found != ""
}

// wholeTo says whether the word that begins at start may end at end. An address with a fifth number behind it is none.
func wholeTo(node string, start, end int) bool {
	rest := node[end:]
	if rest == "" {
		return true
	}
	if inWord(rest[0]) {
		return false
	}
	fifth := rest[0] == '-' && len(rest) > 1 && '0' <= rest[1] && rest[1] <= '9'
	return !fifth || !strings.HasPrefix(node[start:end], addressMark)
}

// inWord says whether a byte goes on with a word. All of a letter beyond ASCII does: a doubt tells nothing.
func inWord(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c >= 0x80
}
