package swf_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/internal/fakeswf"
)

// TestAChainOfRunsKnowsTheLastKeys: it carried all of them, until no run could continue as new any more.
func TestAChainOfRunsKnowsTheLastKeys(t *testing.T) {
	t.Parallel()
	for name, size := range map[string]int{"small input": 1, "large input": 28_000} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const events, each = 1900, 100
			d := lambdabiz.Define("D", func(o lambdabiz.Context, in string) (int, error) {
				for i := range each {
					n, err := lambdabiz.WaitForEvent[int](o, fmt.Sprint("e", i), lambdabiz.Named("e"))
					if err != nil || n < 0 {
						return n, err
					}
				}
				return 0, lambdabiz.ContinueAsNew(o, in)
			})
			synctest.Test(t, func(t *testing.T) {
				server := newServer(t, fakeswf.Config{})
				p := client(t, configFor(server)).workOn(d)
				input := make([]byte, size)
				for i := range input {
					input[i] = 'x'
				}
				run, err := lambdabiz.Start(t.Context(), p.Engine, d, "R", string(input), lambdabiz.OnUsedID(lambdabiz.RejectOpen))
				if err != nil {
					t.Fatal(err)
				}
				raise := func(n int, key string) {
					t.Helper()
					if err := p.RaiseEvent(t.Context(), "R", "e", n, lambdabiz.Key(key)); err != nil {
						t.Fatal(err)
					}
				}
				for i := range events {
					if raise(i, fmt.Sprint("a key that is as long as the ids of orders and payments are, number ", i)); i%each == each-1 {
						<-time.After(time.Minute)
					}
				}
				raise(-7, fmt.Sprint("a key that is as long as the ids of orders and payments are, number ", events-100)) // it was seen
				raise(-1, "last")
				if out := result(t, server, p.Engine, run, "R"); out != -1 {
					t.Error("an event came twice, with", out)
				}
			})
		})
	}
}

// TestEmojiAreTwoCharacters for SWF, as for Java: what was counted as one was refused for ever.
func TestEmojiAreTwoCharacters(t *testing.T) {
	t.Parallel()
	text := ""
	for range 7_000 { // of 28,000 bytes
		text += "😀"
	}
	d := lambdabiz.Define("D", func(o lambdabiz.Context, in string) (string, error) {
		got, err := atOnce(o, 4, func(o lambdabiz.Context, _ int) (string, error) {
			if err := lambdabiz.SetProgress(o, in); err != nil {
				return "", err
			}
			return lambdabiz.WaitForEvent[string](o, "e", lambdabiz.Named("e"))
		})
		if err != nil {
			return "", err
		}
		return got[3], nil
	})
	synctest.Test(t, func(t *testing.T) {
		server := newServer(t, fakeswf.Config{})
		p := client(t, configFor(server)).workOn(d)
		run, err := lambdabiz.Start(t.Context(), p.Engine, d, "R", text, lambdabiz.OnUsedID(lambdabiz.RejectOpen))
		if err != nil {
			t.Fatal(err)
		}
		for range 4 {
			if err := p.RaiseEvent(t.Context(), "R", "e", text); err != nil {
				t.Fatal(err)
			}
		}
		if out := result(t, server, p.Engine, run, "R"); out != text {
			t.Errorf("the result has %d bytes", len(out))
		}
	})
}
