//go:build !race

package examples_test

const withRace = false
