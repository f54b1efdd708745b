package model_test

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lambdabiz/lambdabiz/test/campaign"
)

// explored are the settings, with how many departures from what is usual the ordinary run and a campaign of the full
// length try. Under the race detector the ordinary run tries one: the twins go all the way without it.
var explored = []struct {
	setting
	ordinary, full int
}{
	{setting{"held", time.Minute, 90 * time.Second}, 2, 3},
	{setting{"held", 90 * time.Second, time.Minute}, 1, 2},
	{setting{"ends", time.Minute, 90 * time.Second}, 2, 3},
	{setting{"ends and forgotten", 90 * time.Second, time.Minute}, 1, 3},
}

// brokenWord begins what an exploration complains of.
const brokenWord = "broken: "

// exploration is all schedules of a setting with so many departures from the usual one.
type exploration struct {
	setting
	departures int
	stop       *atomic.Bool // another one has found something

	schedules int
	strayed   int // schedules that did not come to the same place again: what is between two stimuli is not repeatable
	did       map[string]int
}

// from performs all schedules that begin with this one, and returns the first complaint with its trace.
func (e *exploration) from(t *testing.T, schedule []string, departed int) string {
	t.Helper()
	points, complaint := e.perform(t, schedule)
	e.schedules++
	for _, p := range points {
		e.did[p.chosen]++
	}
	switch {
	case strings.HasPrefix(complaint, misled):
		e.strayed++
		return ""
	case complaint != "":
		return brokenWord + complaint + "\n" + (&trace{setting: e.setting, stimuli: chosen(points)}).String()
	case departed == e.departures:
		return ""
	}
	for i := len(schedule); i < len(points); i++ {
		for _, other := range points[i].others {
			if e.stop.Load() {
				return ""
			}
			if complaint := e.from(t, append(chosen(points[:i]), other), departed+1); complaint != "" {
				return complaint
			}
		}
	}
	return ""
}

func chosen(points []point) []string {
	names := make([]string, 0, len(points)+1)
	for _, p := range points {
		names = append(names, p.chosen)
	}
	return names
}

// All schedules of stimuli, up to a number of departures from what is usual.
func TestEveryScheduleOfStimuli(t *testing.T) {
	t.Parallel()
	var stop atomic.Bool
	for _, s := range explored {
		t.Run(s.String(), func(t *testing.T) {
			t.Parallel()
			e := &exploration{setting: s.setting, stop: &stop}
			most := s.ordinary
			if raceDetector {
				most = 1
			}
			for most = campaign.Rounds(t, most, s.full); e.departures < most; { // few come first: they are easier to read
				e.departures++
				e.schedules, e.strayed, e.did = 0, 0, map[string]int{}
				if complaint := e.from(t, nil, 0); complaint != "" {
					stop.Store(true)
					t.Fatal(complaint)
				}
			}
			if stop.Load() {
				t.Skip("another setting has found something")
			}
			must := []campaign.Count{{What: "schedules", N: e.schedules}}
			also := []campaign.Count{{What: "strayed", N: e.strayed}}
			for i := range stimuli {
				count := campaign.Count{What: stimuli[i].name, N: e.did[stimuli[i].name]}
				if stimuli[i].rare || homes[e.home].ends && strings.HasPrefix(stimuli[i].name, "park") {
					also = append(also, count)
				} else {
					must = append(must, count)
				}
			}
			campaign.Report(t, "F53", must, also...)
		})
	}
}
