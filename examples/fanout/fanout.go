package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

// Album is what the orchestration starts with.
type Album struct {
	Photos      []string
	Concurrency int
}

// Thumbnail is what comes of a photo.
type Thumbnail struct {
	Photo    string
	Attempts int
}

// Progress is shown in the state while the album is worked on.
type Progress struct{ Done, Of int }

// shrink makes thumbnails of all photos, a few at the same time. Each photo has a branch of its own, named by the photo:
// after a kill the branches run again, and those whose task is recorded end at once.
var shrink = lambdabiz.Define("Shrink", func(o lambdabiz.Context, in Album) ([]Thumbnail, error) {
	var done atomic.Int64 // for the display only: nothing is decided by it
	byName := func(photo string) string { return photo }
	return lambdabiz.Map(o, "photos", in.Photos, byName, func(o lambdabiz.Context, photo string) (Thumbnail, error) {
		thumbnail, err := lambdabiz.Call(o, "shrink", shrinkOne, photo,
			lambdabiz.Retry(lambdabiz.Backoff{Attempts: 4, Initial: 200 * time.Millisecond}),
			lambdabiz.Timeout(time.Minute))
		if err != nil {
			return thumbnail, err // Map goes on with the others, and returns all errors together
		}
		return thumbnail, lambdabiz.SetProgress(o, Progress{Done: int(done.Add(1)), Of: len(in.Photos)})
	}, lambdabiz.Concurrency(in.Concurrency))
})

// pace is how long a photo takes.
var pace time.Duration

// shrinkOne is the work on one photo. It pretends, and fails now and then.
var shrinkOne = lambdabiz.NewTask("ShrinkOne", func(ctx context.Context, photo string) (Thumbnail, error) {
	info, _ := lambdabiz.TaskInfoFrom(ctx)
	select {
	case <-time.After(pace):
	case <-ctx.Done():
		return Thumbnail{}, context.Cause(ctx)
	}
	switch {
	case strings.HasPrefix(photo, "broken"):
		fmt.Printf("  %s cannot be read\n", photo)
		return Thumbnail{}, lambdabiz.NonRetryable(errors.New("this is no photo"))
	case strings.HasSuffix(photo, "3") && info.Attempt < 3:
		fmt.Printf("  %s fails, attempt %d\n", photo, info.Attempt)
		return Thumbnail{}, errors.New("out of memory, for now")
	}
	fmt.Printf("  %s is done, attempt %d\n", photo, info.Attempt)
	return Thumbnail{photo, info.Attempt}, nil
})
