package lambdabiz

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// What the record keeps as operations change is what a search over all of them would find.
func TestRecordKnowsWhatASearchWouldFind(t *testing.T) {
	t.Parallel()
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 2))
		var c record
		c.reset(0)
		scopes := []string{"", "a", "a/b", "a/b/c", "d", "d/e"}
		for i := range 20 { // what is recorded
			o := &op{loaded: true, Operation: Operation{
				ID: joinPath(scopes[rng.IntN(len(scopes))], fmt.Sprint("o", i)), Number: int64(i + 1),
				Kind: []Kind{KindStep, KindChild}[rng.IntN(2)], Status: []Status{StatusStarted, StatusSucceeded}[rng.IntN(2)],
				AfterStop: rng.IntN(3) == 0,
			}}
			c.load(o)
		}
		branches := map[string]*future{}
		for i := range 80 {
			ids := make([]string, 0, len(c.ops))
			for id := range c.ops {
				ids = append(ids, id)
			}
			slices.Sort(ids)
			o := c.ops[ids[rng.IntN(len(ids))]]
			switch rng.IntN(6) {
			case 0:
				c.visit(o)
			case 1:
				o.Status, o.Result = StatusSucceeded, Payload(strings.Repeat("x", rng.IntN(50)))
				if rng.IntN(3) == 0 {
					o.message = &mail{}
				}
				c.changed(o)
			case 2:
				o.message = nil
				c.changed(o)
			case 3:
				n := &op{visited: true, Operation: Operation{ID: fmt.Sprint(scopes[rng.IntN(len(scopes))], "/n", i), Status: StatusStarted}}
				n.ID = strings.TrimPrefix(n.ID, "/")
				c.add(n, c.placeAt(parentOf(n.ID)))
				if rng.IntN(2) == 0 {
					c.number(n)
				} else if rng.IntN(2) == 0 {
					c.remove(n)
				}
			case 4:
				path := scopes[1+rng.IntN(len(scopes)-1)]
				if f := branches[path]; f == nil {
					s := &scope{path: path, branch: &future{}}
					branches[path] = s.branch
					s.branch.s = s
					c.placeAt(path).begin(s)
				} else {
					f.ended = true
					f.s.place.settle()
				}
			case 5:
				if rng.IntN(10) == 0 {
					c.lose(c.placeAt(scopes[1+rng.IntN(len(scopes)-1)]))
				}
			}
			checkRecord(t, fmt.Sprintf("seed %d, move %d", seed, i), &c, branches)
		}
	}
}

// inScope reports whether path lies in the scope or in one inside it.
func inScope(path, scope string) bool { return scope == "" || strings.HasPrefix(path, scope+"/") }

func checkRecord(t *testing.T, what string, c *record, branches map[string]*future) {
	t.Helper()
	bytes, children := int64(len(c.places)*placeBytes), 0
	open, unvisited, before := map[string][]string{}, map[string]int{}, map[string]int{}
	for path, o := range c.ops {
		bytes += o.size()
		if o.Kind == KindChild && o.Number != 0 && !o.Status.Ended() {
			children++
			if c.children[o.Number] != o {
				t.Fatalf("%s: child %s is not known by its number", what, path)
			}
		}
		for _, scope := range []string{"a", "a/b", "a/b/c", "d", "d/e"} {
			if !inScope(path, scope) {
				continue
			}
			if !o.Status.Ended() || o.message != nil {
				open[scope] = append(open[scope], path)
			}
			lost := false // between
			for at, p := range c.places {
				lost = lost || p.lost && inScope(path, at) && inScope(at, scope)
			}
			if o.loaded && !o.visited && !lost {
				unvisited[scope]++
				before[scope] += o.before()
			}
		}
	}
	if c.bytes != bytes || len(c.children) != children {
		t.Fatalf("%s: %d bytes and %d children, want %d and %d", what, c.bytes, len(c.children), bytes, children)
	}
	for scope, p := range c.places {
		var got []string
		p.eachOpen(func(o *op) { got = append(got, o.ID) })
		if !slices.Equal(sorted(got), sorted(open[scope])) {
			t.Fatalf("%s: in %s %v are open, want %v", what, scope, got, open[scope])
		}
		if p.unvisited != unvisited[scope] || p.before != before[scope] {
			t.Fatalf("%s: in %s %d are not visited, %d of before the stop, want %d and %d",
				what, scope, p.unvisited, p.before, unvisited[scope], before[scope])
		}
	}
	for path, f := range branches { // an open branch is found from every branch around it
		for around, p := range c.places {
			found := p.anyScope(func(s *scope) bool { return s.branch == f })
			if want := around == path || inScope(path, around) && !f.ended; want && !found {
				t.Fatalf("%s: branch %s is not found in %s", what, path, around)
			}
		}
	}
}

// A link takes its place by its number, and leaves from wherever it is.
func TestChainKeepsItsOrder(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 3))
	var c chain[int64]
	links := map[int64]*link[int64]{}
	for i := range 5000 {
		n := rng.Int64N(200)
		if l := links[n]; l != nil {
			l.leave()
			l.leave() // once is enough
			delete(links, n)
		} else {
			links[n] = &link[int64]{v: n, number: n}
			c.insert(links[n])
		}
		var got []int64
		var last *link[int64]
		for l := c.first; l != nil; l = l.next {
			if l.prev != last {
				t.Fatalf("move %d: link %d has lost the one before it", i, l.v)
			}
			last, got = l, append(got, l.v)
		}
		if !slices.IsSorted(got) || len(got) != len(links) || c.n != len(links) || c.last != last {
			t.Fatalf("move %d: %v, want %d links in order", i, got, len(links))
		}
	}
}
