package captured

import (
	"context"
	"encoding/json"
	"strconv"

	"github.com/lambdabiz/lambdabiz"
)

type order struct{ Item, Parcel string }

var count int

func bad(o lambdabiz.Context, in []byte) (string, error) {
	var parcel string
	if err := lambdabiz.Do(o, "ship", func(context.Context) error {
		parcel = "parcel-1" // want "the body of a step sets parcel"
		return nil
	}); err != nil {
		return "", err
	}
	n := 0
	var got order
	list := map[string]int{}
	all := []string{}
	if _, err := lambdabiz.Step(o, "many", func(context.Context) (int, error) {
		n++                                // want "sets n"
		list["tea"] = 1                    // want "sets list"
		got.Item = "tea"                   // want "sets got"
		all = append(all, "")              // want "sets all"
		func() { n += 2 }()                // want "sets n"
		return 1, json.Unmarshal(in, &got) // want "sets got"
	}); err != nil {
		return "", err
	}
	return parcel + strconv.Itoa(n) + got.Item + strconv.Itoa(len(list)+len(all)), nil
}

func inBranch(o lambdabiz.Context) error {
	f := lambdabiz.Go(o, "branch", func(b lambdabiz.Context) (int, error) {
		found := 0
		err := lambdabiz.Do(b, "look", func(context.Context) error {
			found = 7 // want "sets found"
			return nil
		})
		return found, err
	})
	_, err := f.Wait(o)
	return err
}

func good(o lambdabiz.Context, in []byte) (string, error) {
	parcel, err := lambdabiz.Step(o, "ship", func(context.Context) (string, error) {
		p := ""
		p = "parcel-1"
		var into order
		err := json.Unmarshal(in, &into)
		count++ // of the process, and no decision of the orchestration's
		return p + into.Item, err
	})
	tries := 0 // of the body alone
	_ = lambdabiz.Do(o, "try", func(context.Context) error {
		tries++
		if tries > 3 {
			return context.Canceled
		}
		return nil
	})
	meant := ""
	_ = lambdabiz.Do(o, "meant", func(context.Context) error {
		meant = "x" //lambdabizvet:ignore it is only shown
		return nil
	})
	total := 0
	sum := func(k int) { total += k } // no step
	sum(1)
	return parcel + meant + strconv.Itoa(total), err
}

func task(ctx context.Context, in string) (string, error) {
	out := ""
	func() { out = in }()
	return out, nil
}
