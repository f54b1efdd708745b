package main

import (
	"strings"
	"testing"
)

func TestARaiseSaysWhetherItsKeyWasKnown(t *testing.T) {
	t.Parallel()
	c := setup(t)
	c.must("start", "Nobody", "n-1")
	for _, try := range []struct {
		args []string
		says string
	}{
		{[]string{"n-1", "paid", "1", "--key", "k"}, "n-1: event paid is recorded\n"},
		{[]string{"n-1", "paid", "1", "--key", "k"}, "n-1: an event was raised before with the key k, nothing was added\n"},
		{[]string{"n-1", "paid", "1"}, "n-1: event paid is recorded\n"},
		{[]string{"n-2", "paid", "--key", "k", "--before-start", "1h"}, "n-2: event paid is recorded\n"},
		{[]string{"n-2", "paid", "--key", "k", "--before-start", "1h"}, "n-2: an event was raised before with the key k, " +
			"nothing was added\n"},
	} {
		if out := c.must(append([]string{"raise"}, try.args...)...); out != try.says {
			t.Errorf("raise %s prints %q, want %q", strings.Join(try.args, " "), out, try.says)
		}
	}
	for key, receipt := range map[string]string{"k": "repeated", "j": "added"} {
		v := decode[map[string]any](t, c.must("raise", "n-1", "paid", "--key", key, "-o", "json"))
		if v["receipt"] != receipt || v["key"] != key {
			t.Errorf("raise with the key %s prints %v", key, v)
		}
	}
	if s := c.show("n-1"); len(s.Events) != 3 {
		t.Errorf("it has the events %+v", s.Events)
	}
}
