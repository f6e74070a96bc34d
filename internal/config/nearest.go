package config

import (
	"fmt"
	"strings"
)

// didYouMean is the remedy for a word that is none of those known: the nearest one, if it is near, else all of them.
func didYouMean(word string, known []string) string {
	best, bestDistance := "", 1+max(1, min(len(word), 12)/3)
	for _, k := range known {
		if d := distance(word, k); d < bestDistance {
			best, bestDistance = k, d
		}
	}
	if best != "" {
		return fmt.Sprintf("did you mean %q?", best)
	}
	if len(known) == 0 {
		return "remove it"
	}
	const most = 30 // Enough for the fields of any section; a list of targets may be longer.
	if len(known) > most {
		known = append(append([]string{}, known[:most]...), "...")
	}
	return "use one of " + strings.Join(known, ", ")
}

// distance is how many letters have to be put in, left out, changed or swapped with their neighbour to make b of a.
// Words of more than 64 bytes are not compared: no known name is that long, and the file may be hostile.
func distance(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return 64
	}
	var before, last, row [65]int
	for j := range len(b) + 1 {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}
