package main

import (
	"slices"
	"testing"

	"github.com/lambdabiz/lambdabiz/cmd/internal/demo"
	"github.com/lambdabiz/lambdabiz/lambdabiztest"
)

// What show prints is a recording that package lambdabiztest lets code resume.
func TestShownStateResumesInATest(t *testing.T) {
	t.Parallel()
	c := setup(t)
	c.must("demo", "--timer", "0")
	state := c.must("show", "Sequence3", "-o", "json")
	r := lambdabiztest.Resume(t, lambdabiztest.Recording{State: []byte(state)}, demo.Sequence3)
	var kept []string
	for _, item := range r.Kept {
		kept = append(kept, item.Operation)
	}
	want := slices.Sorted(slices.Values(demo.Operations[:7]))
	if !slices.Equal(kept, want) || len(r.Next)+len(r.Changed)+len(r.Orphaned)+len(r.Unreached) > 0 || r.Blocked != nil || r.Ends == "" {
		t.Errorf("want all of %q kept, the report is\n%s", want, r)
	}
}
