package lambdabiz

// chain is a list in the order of numbers, in which a link leaves in constant time, wherever it stands.
type chain[T any] struct {
	first, last *link[T]
	n           int
}

// link is the place of a value in at most one chain.
type link[T any] struct {
	v          T
	number     int64
	on         *chain[T] // nil while it is in none
	prev, next *link[T]
}

// insert puts a link behind all with smaller numbers. It looks from both ends: what is new has the highest number,
// what comes back is mostly older than the rest.
func (c *chain[T]) insert(l *link[T]) {
	front, after := c.first, c.last
	for after != nil && after.number > l.number {
		if front.number > l.number {
			after = front.prev
			break
		}
		front, after = front.next, after.prev
	}
	l.on, l.prev = c, after
	if after == nil {
		l.next, c.first = c.first, l
	} else {
		l.next, after.next = after.next, l
	}
	if l.next == nil {
		c.last = l
	} else {
		l.next.prev = l
	}
	c.n++
}

// leave takes the link out of its chain, if it is in one.
func (l *link[T]) leave() {
	c := l.on
	if c == nil {
		return
	}
	if l.prev == nil {
		c.first = l.next
	} else {
		l.prev.next = l.next
	}
	if l.next == nil {
		c.last = l.prev
	} else {
		l.next.prev = l.prev
	}
	l.on, l.prev, l.next = nil, nil, nil
	c.n--
}
