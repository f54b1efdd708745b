package memory_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/memory"
)

// BenchmarkList is a page of 100 of 20,000 runs with inputs of up to 50 kB.
func BenchmarkList(b *testing.B) {
	m := memory.New()
	input := make(lambdabiz.Payload, 64<<10)
	at := time.Now()
	for i := range 20_000 {
		_, err := m.Commit(b.Context(), []*lambdabiz.Commit{{At: at.Add(time.Duration(i) * time.Second), Starts: []lambdabiz.RunStart{{
			ID: fmt.Sprint(i), RunID: fmt.Sprint(i), Name: "D", Input: input[:(i%100)<<9],
		}}}})
		if err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		if page, err := m.List(b.Context(), lambdabiz.Filter{}); err != nil || len(page.Runs) != 100 {
			b.Fatalf("%d runs, %v", len(page.Runs), err)
		}
	}
}
