//go:build !fault

package process_test

import "errors"

// arm refuses: this program has no points.
func (c *child) arm() {
	if c.Fault != "" {
		c.must("arm", errors.New("the program was built without the tag fault"))
	}
}

func (c *child) tellArrivals() {}

func tear() {}
