package maporder

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

func helper(o lambdabiz.Context, id string) error { return lambdabiz.Sleep(o, id, time.Second) }

func bad(o lambdabiz.Context, in map[string]int) error {
	for key := range in { // want `an operation \(line 1[0-9]\) is performed in the order of a map`
		if err := helper(o, key); err != nil {
			return err
		}
	}
	for key := range maps.Keys(in) { // want "in the order of a map"
		lambdabiz.Go(o, key, func(b lambdabiz.Context) (int, error) { return 0, nil })
	}
	return nil
}

func good(o lambdabiz.Context, in map[string]int) error {
	sum := 0
	for _, n := range in {
		sum += n
	}
	for _, key := range slices.Sorted(maps.Keys(in)) {
		if err := helper(o, key); err != nil {
			return err
		}
	}
	return lambdabiz.Do(o, "all", func(context.Context) error {
		for range in {
		}
		return nil
	})
}
