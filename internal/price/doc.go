// Package price knows what AWS asks, and what Sluice comes to by it.
//
// The list (list.go) is data: what one unit of each thing costs, by Region, with the page that says so. It has no free tiers and no
// discounts, which are an account's as a whole. The model (model.go) makes a month of a sluice.yaml out of it, line by line, each line a
// quantity times a price, so that it can be checked by hand; what it has to assume stands in assumptions.go, each with where it is from.
//
// The dashboard's figures, `sluice cost`, the messages of deploy.notify and the tables of docs/deploy.md come from here, and from nowhere
// else. Nothing here asks AWS.
package price
