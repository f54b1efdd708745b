package main

import (
	"context"
	"fmt"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

// Watch is what a run starts with: what is watched, how, and what the runs before it have found out.
type Watch struct {
	Parcel string
	Every  time.Duration // between two polls
	Rounds int           // polls of one run

	Polls int // in the runs before
	Runs  int // before this one
}

// Delivery is the result.
type Delivery struct {
	Polls, Runs int
	Place       string
}

// watch polls until the parcel has arrived. Every poll and every pause is recorded, so after some rounds it begins a new run
// of the same id, with what it knows as input: the history stays short, however long it goes on.
var watch = lambdabiz.Define("WatchParcel", func(o lambdabiz.Context, in Watch) (Delivery, error) {
	for round := 1; round <= in.Rounds; round++ {
		in.Polls++
		// A step records what it has seen: the loop decides on that, and not on what is so when it runs again.
		place, err := lambdabiz.Step(o, fmt.Sprintf("poll-%d", round), func(context.Context) (string, error) {
			place := whereIs(in.Polls)
			fmt.Printf("  run %d, poll %d: %s is %s\n", in.Runs+1, in.Polls, in.Parcel, place)
			return place, nil
		})
		if err != nil {
			return Delivery{}, err
		}
		if place == delivered {
			return Delivery{Polls: in.Polls, Runs: in.Runs + 1, Place: place}, nil
		}
		if err := lambdabiz.Sleep(o, fmt.Sprintf("pause-%d", round), in.Every); err != nil {
			return Delivery{}, err
		}
	}
	in.Runs++
	return Delivery{}, lambdabiz.ContinueAsNew(o, in)
})

const delivered = "delivered"

// journey is how many polls the parcel's journey takes.
var journey int

// whereIs plays the service that is asked: at each poll the parcel is a bit further.
func whereIs(poll int) string {
	places := []string{"in the warehouse", "on the road", "at the depot", "on the last mile"}
	if poll >= journey {
		return delivered
	}
	return places[(poll-1)*len(places)/journey]
}
