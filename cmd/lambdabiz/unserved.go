package main

import (
	"fmt"
	"slices"
	"strings"

	lambdabiz "github.com/lambdabiz/lambdabiz"
)

// unserved is a definition that no live worker has, though orchestrations of it are open. It is no problem before one is due.
type unserved struct {
	Name string `json:"name"`
	Open int    `json:"open"`
}

// countUnserved adds a run to those of its definition, if no live worker has it. Who drives a run by hand needs no worker.
func countUnserved(found []unserved, workers []lambdabiz.WorkerRecord, run *lambdabiz.RunInfo) []unserved {
	if run.Mode == lambdabiz.ModeHand || served(workers, run.Name) {
		return found
	}
	at := slices.IndexFunc(found, func(u unserved) bool { return u.Name == run.Name })
	if at < 0 {
		return append(found, unserved{run.Name, 1})
	}
	found[at].Open++
	return found
}

func unservedNote(found []unserved) string {
	if len(found) == 0 {
		return ""
	}
	var names []string
	for _, u := range found {
		names = append(names, fmt.Sprintf("%s (%d open)", u.Name, u.Open))
	}
	return "note: no live worker has the definition of " + strings.Join(names, ", ") + "\n"
}
