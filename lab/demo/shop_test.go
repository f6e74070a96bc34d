package main

import "testing"

// The wanted texts are what real Celery workers returned for these orders and reports.
func TestResultsAreThoseOfTheShopsOwnTasks(t *testing.T) {
	for _, c := range []struct {
		name, got, want string
	}{
		{
			"an order", string(order{Number: 4, Lines: [][2]int{{5, 999}, {2, 1050}}, Rounds: 20_000}.result()),
			`{"number":4,"receipt":"6cfa5154e5d9ebd62202ae7145e71b951b82f70363f704b6e73c17f2f16a8f3e","total":8443}`,
		},
		{
			"an order whose tax is rounded up", string(order{Number: 8, Lines: [][2]int{{4, 999}, {2, 1050}}, Rounds: 20_000}.result()),
			`{"number":8,"receipt":"cc85ba4f974715bdc4a0bd8f9e4ad5e7be18b98ec3573c49157210f08af596b2","total":7254}`,
		},
		{
			"a report", string(report{Number: 2, Days: 5, SecondsPerDay: 0.5}.result()),
			`{"digest":"36445a8d94e42a459103f6a61c47c16d37ca1280b28ac58fab598f747d9ae6f9","number":2,"turnover":285342}`,
		},
	} {
		if c.got != c.want {
			t.Errorf("%s: got %s, want %s", c.name, c.got, c.want)
		}
	}
}
