package homes_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

// looks is code that is told to stop while an operation goes on that ends well: it ends because it looks at its context,
// and nothing of it is recorded as cancelled. enough brings the end about. In a branch, the function looks then, too.
func (k *booking) looks(o lambdabiz.Context, inABranch bool, enough func()) (int, error) {
	book := func(o lambdabiz.Context) (booked []int, err error) {
		for i := 0; o.Err() == nil; i++ {
			if i == 2 {
				return booked, errors.New("it has not heard when it looked")
			}
			if !k.do(o, "book", i) {
				return booked, errors.New("it was told to stop before it was")
			}
			booked = append(booked, i)
			if i == 1 {
				enough()
				err = lambdabiz.Sleep(lambdabiz.Detached(o), "confirm", 20*time.Second)
			}
		}
		return booked, err
	}
	if !inABranch {
		booked, err := book(o)
		return 0, errors.Join(k.takeBack(o, booked), err)
	}
	booked, err := lambdabiz.Go(o, "all", book).Wait(o)
	if o.Err() == nil {
		err = errors.Join(err, errors.New("the function has not heard what its branch has"))
	}
	if err != nil {
		return 0, err
	}
	return 0, k.takeBack(o, booked)
}

var wheres = map[string]bool{"in the function": false, "in a branch": true}

// Code that had been told to stop while an operation ended well, and had seen that when it looked, was not told there when
// it was resumed in its clean-up: nothing was recorded as cancelled. It took another way, as if nobody had asked for its
// end; and the function did when its branch had looked.
func TestResumedCodeHearsAgainWhereItLooked(t *testing.T) {
	for where, inABranch := range wheres {
		for how, deadline := range map[string]time.Duration{"cancelled": 0, "overdue": 10 * time.Second} {
			var but []exception
			var opts []lambdabiz.StartOption
			if deadline > 0 {
				but = append(but, oneClock(deadlineOfStart))
				opts = append(opts, lambdabiz.Deadline(deadline))
			}
			t.Run(where+", "+how, func(t *testing.T) {
				everywhere(t, func(t *testing.T, b *bench) {
					k := &booking{j: &journal{}}
					d := define(func(o lambdabiz.Context) (int, error) {
						return k.looks(o, inABranch, func() {
							if deadline == 0 {
								b.cancel(o.ID())
							}
						})
					})
					b.well() // what is to be recorded is, when it is killed
					e, kill := b.killable(d)
					start(b, e, d, "x", 0, opts...)
					time.Sleep(22 * time.Second)
					kill()
					b.ill()
					b.resumed(d, "x")
					b.wantTakenBack(k.j, "x", 2)
					s := b.state(b.engine(lambdabiz.Config{}), "x")
					if s.Status == lambdabiz.StatusFailed || len(s.Orphans) > 0 {
						t.Errorf("it is %v: %v, without %v", s.Status, s.Error, s.Orphans)
					}
					for _, o := range s.Operations {
						last := strings.HasSuffix(o.ID, "confirm")
						after := strings.HasPrefix(o.ID, "undo") || strings.HasPrefix(o.ID, "between")
						if o.LastBeforeStop != last || o.AfterStop != after {
							t.Errorf("%s is marked as the last before the stop: %v, as after it: %v", o.ID, o.LastBeforeStop, o.AfterStop)
						}
					}
				}, but...)
			})
		}
	}
}

// The same by hand.
func TestByHandTheCodeHearsAgainWhereItLooked(t *testing.T) {
	for where, inABranch := range wheres {
		t.Run(where, func(t *testing.T) {
			everywhere(t, func(t *testing.T, b *bench) {
				k := &booking{j: &journal{}}
				drive := func(most time.Duration) error {
					ctx, cancel := context.WithTimeout(b.ctx, most)
					defer cancel()
					o := byHand(b, ctx, b.engine(lambdabiz.Config{}), "x")
					_, err := k.looks(o, inABranch, func() { b.cancel("x") })
					return o.Fail(err)
				}
				_ = drive(22 * time.Second) // it cannot go on
				if err := drive(time.Hour); err != nil {
					t.Error(err)
				}
				b.wantTakenBack(k.j, "x", 2)
				if s := b.state(b.engine(lambdabiz.Config{}), "x"); s.Status != lambdabiz.StatusCancelled || len(s.Orphans) > 0 {
					t.Errorf("it is %v, without %v", s.Status, s.Orphans)
				}
			}, keepsEnds())
		})
	}
}

// waysToBook book two things in branches that look at their contexts at their ends.
var waysToBook = map[string]func(k *booking, o lambdabiz.Context) ([]bool, error){
	"in a Map": func(k *booking, o lambdabiz.Context) ([]bool, error) {
		return lambdabiz.Map(o, "m", []int{0, 1}, func(i int) string { return fmt.Sprint(i) },
			func(o lambdabiz.Context, i int) (bool, error) { return k.do(o, "book", i) && o.Err() == nil, nil },
			lambdabiz.Concurrency(1))
	},
	"in a branch each": func(k *booking, o lambdabiz.Context) (done []bool, err error) {
		for i := range 2 {
			ok, err := lambdabiz.Go(o, fmt.Sprint("b", i), func(o lambdabiz.Context) (bool, error) {
				return k.do(o, "book", i) && o.Err() == nil, nil
			}).Wait(o)
			if err != nil {
				return nil, err
			}
			done = append(done, ok)
		}
		return done, nil
	},
}

// A branch that had ended before somebody asked for the run's end found its context ended behind its last operation when
// the run was resumed: it returned something else, and what it had booked was not taken back.
func TestResumedBranchDoesNotHearWhatCameAfterItsEnd(t *testing.T) {
	for name, book := range waysToBook {
		for how, stop := range endings {
			var but []exception
			if how == "overdue" {
				but = append(but, oneClock(deadlineOfStart))
			}
			t.Run(name+", "+how, func(t *testing.T) {
				everywhere(t, func(t *testing.T, b *bench) {
					k := &booking{j: &journal{}}
					stop(b, define(func(o lambdabiz.Context) (int, error) {
						done, err := book(k, o)
						if err != nil {
							return 0, err
						}
						for i := 0; err == nil; i++ {
							err = k.nap(o, i)
						}
						var booked []int
						for i, ok := range done {
							if ok {
								booked = append(booked, i)
							}
						}
						return 0, k.takeBack(o, booked)
					}), "x")
					b.wantTakenBack(k.j, "x", 2)
					s := b.state(b.engine(lambdabiz.Config{}), "x")
					if s.Status == lambdabiz.StatusFailed || len(s.Orphans) > 0 {
						t.Errorf("it is %v: %v, without %v", s.Status, s.Error, s.Orphans)
					}
				}, but...)
			})
		}
	}
}

// A branch whose code was told to stop between its last look at its context and its end has not seen that: it does not
// see it when it is resumed. One that has looked behind that does. The function, which waited for it, has heard each time.
func TestResumedBranchHearsWhatItHasSeenOnly(t *testing.T) {
	for how, looksLast := range map[string]bool{"looks before it is told": false, "looks behind that": true} {
		t.Run(how, func(t *testing.T) {
			everywhere(t, func(t *testing.T, b *bench) {
				k, gate := &booking{j: &journal{}}, make(chan struct{})
				d := define(func(o lambdabiz.Context) (int, error) {
					saw, err := lambdabiz.Go(o, "branch", func(o lambdabiz.Context) (bool, error) {
						k.do(o, "book", 0)
						early := o.Err() != nil
						<-gate
						late := looksLast && o.Err() != nil
						return late || early, nil
					}).Wait(o)
					switch {
					case err != nil:
						return 0, err
					case saw != looksLast:
						return 0, fmt.Errorf("the branch has seen that it shall stop: %v", saw)
					case o.Err() == nil:
						return 0, errors.New("the function has not heard")
					}
					return 0, k.takeBack(o, []int{0})
				})
				b.well()
				e, kill := b.killable(d)
				start(b, e, d, "x", 0)
				time.Sleep(time.Second)
				b.cancel("x")
				time.Sleep(2 * time.Second)
				close(gate)
				time.Sleep(2500 * time.Millisecond) // it waits between what it takes back
				kill()
				b.ill()
				b.resumed(d, "x")
				b.wantTakenBack(k.j, "x", 1)
				s := b.state(b.engine(lambdabiz.Config{}), "x")
				if s.Status == lambdabiz.StatusFailed || len(s.Orphans) > 0 {
					t.Errorf("it is %v: %v, without %v", s.Status, s.Error, s.Orphans)
				}
				if o := operation(t, s, "branch/book0"); o.LastBeforeStop != looksLast {
					t.Errorf("it is marked as the last before the stop: %v", o.LastBeforeStop)
				}
			}, notOnSWF("its code may not wait outside of operations there"))
		})
	}
}
