package main

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// post is one request of the shop's users: orders or reports.
type post struct {
	after   time.Duration // Since the wave began.
	orders  []order
	reports []report
}

// wave is a stretch of load.
type wave struct{ posts []post }

// plan is the whole load, the same for the same seed. The first wave is a burst of short tasks with some long ones behind
// it: far more than one worker is meant to have. The second, smaller one is posted while the workers that have become
// idle are about to be let go, which is when a scaler that looks only once loses messages.
func plan(seed uint64) (first, second wave) {
	g := newGenerator(seed)
	first = wave{posts: []post{
		{after: 0, orders: g.orders(30)},
		{after: 300 * time.Millisecond, orders: g.orders(30)},
		{after: 600 * time.Millisecond, reports: g.reports(4, 8, 14)},
		{after: 1500 * time.Millisecond, orders: g.orders(20)},
		{after: 6 * time.Second, orders: g.orders(10)},
	}}
	second = wave{posts: []post{
		{after: 0, orders: g.orders(12)},
		{after: 200 * time.Millisecond, reports: g.reports(2, 8, 10)},
		{after: 2 * time.Second, orders: g.orders(8)},
	}}
	return first, second
}

// generator makes up orders and reports.
type generator struct {
	rand   *rand.Rand
	number int
}

func newGenerator(seed uint64) *generator {
	return &generator{rand: rand.New(rand.NewPCG(seed, 0))}
}

// orders returns n orders of 10 to 50 ms of work each, every fourth of them express.
func (g *generator) orders(n int) []order {
	orders := make([]order, n)
	for i := range orders {
		g.number++
		lines := make([][2]int, 1+g.rand.IntN(4))
		for j := range lines {
			lines[j] = [2]int{1 + g.rand.IntN(9), 1 + g.rand.IntN(20_000)}
		}
		orders[i] = order{Number: g.number, Lines: lines, Rounds: 20_000 + g.rand.IntN(60_000), Express: i%4 == 0}
	}
	return orders
}

// reports returns n reports that take from to to seconds each.
func (g *generator) reports(n, from, to int) []report {
	reports := make([]report, n)
	for i := range reports {
		g.number++
		reports[i] = report{Number: g.number, Days: from + g.rand.IntN(to-from+1), SecondsPerDay: 1}
	}
	return reports
}

// String says what is posted.
func (p post) String() string {
	express := 0
	for _, o := range p.orders {
		if o.Express {
			express++
		}
	}
	seconds := 0.0
	for _, r := range p.reports {
		seconds += float64(r.Days) * r.SecondsPerDay
	}
	switch {
	case len(p.reports) == 0:
		return fmt.Sprintf("%d orders, %d of them express", len(p.orders), express)
	case len(p.orders) == 0:
		return fmt.Sprintf("%d reports, %.0f s of work", len(p.reports), seconds)
	default:
		return fmt.Sprintf("%d orders, %d of them express, and %d reports, %.0f s of work", len(p.orders), express, len(p.reports), seconds)
	}
}
