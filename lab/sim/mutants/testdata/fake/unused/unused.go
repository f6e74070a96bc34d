// Package unused is not in the fake simulator.
package unused

// N is a number.
const N = 1
