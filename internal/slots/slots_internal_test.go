package slots

import "testing"

// over reports whether a turn is over, and whether it holds a slot.
func over(t *Turn) (over, holds bool) {
	select {
	case <-t.Ready():
		return true, t.Holds()
	default:
		return false, false
	}
}

func TestWhoComesFirstIsServedFirst(t *testing.T) {
	s := New(1)
	if s.Take() != nil {
		t.Fatal("the first one has to wait")
	}
	first, leaves, last := s.Take(), s.Take(), s.Take()
	for _, turn := range []*Turn{first, leaves, last} {
		if turn == nil {
			t.Fatal("there are more slots than one")
		}
	}
	s.Leave(leaves)
	if over, holds := over(leaves); !over || holds {
		t.Error("who leaves still waits, or has got a slot")
	}
	s.Give()
	if _, holds := over(first); !holds {
		t.Error("the first one has got no slot")
	}
	if over, _ := over(last); over {
		t.Error("the last one was served before its time")
	}
	s.Leave(first) // too late: it holds the slot
	s.Give()
	if _, holds := over(last); !holds {
		t.Error("the last one has got no slot")
	}
	s.Give()
	if s.Take() != nil {
		t.Error("the slot that was given back is not free")
	}
}

func TestNoLimit(t *testing.T) {
	for _, s := range []*Slots{nil, New(0), New(-1)} {
		for range 100 {
			if s.Take() != nil {
				t.Fatal("it has to wait")
			}
		}
		s.Give()
	}
}
