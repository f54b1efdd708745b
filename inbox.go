package lambdabiz

// inbox is the events that have come for a run and are not consumed, and the waits that may take them. Waits of
// one name are served in the order in which they were recorded, events in the order in which they arrived: each
// event goes to the first wait that may have it. It pairs them, and remembers what it has found to fit nothing, so
// that an event or a wait more costs no more, however many there are. It calls nobody; run.mu guards it.
type inbox struct {
	boxes map[string]*mailbox
	mails map[int64]*mail // by number: all that are not consumed
	taken map[int64]*op   // by number: events that no commit says yet that they are consumed
	bytes int64           // of the events, by estimate

	stale [2][]*mailbox // that have changed since they were matched: while branches run, and while all are blocked
	found []*eventWait  // of the last match, as late is; kept for their memory
	late  []*op
}

// mailbox is the events and the waits of one name.
type mailbox struct {
	name  string
	mails chain[*mail]      // that are in no pair
	waits chain[*eventWait] // that are open, and in no pair
	pairs chain[*eventWait] // waits with an event that their code is to read, and then takes
	stale [2]bool           // is in inbox.stale
	tried [2]*link[*mail]   // the last event that is known to fit none of the waits
}

// mail is an event that is not consumed.
type mail struct {
	Message
	link[*mail]
	box  *mailbox
	wait *eventWait // the other half of the pair; nil for none
}

// eventWait is an open wait for an event.
type eventWait struct {
	link[*eventWait]
	op   *op
	box  *mailbox
	met  bool  // this pass has come to it: there is code to read an event
	mail *mail // the other half of the pair: to be read, or being read; nil for none
	late bool  // an event has come after its time, and match has said so
}

// mailBytes is the estimated memory of an event beside its payload.
const mailBytes = 512

func (m *mail) size() int64 { return int64(mailBytes + len(m.Name) + len(m.Key) + len(m.Payload)) }

func (b *inbox) boxOf(name string) *mailbox {
	box := b.boxes[name]
	if box == nil {
		if b.boxes == nil {
			b.boxes, b.mails = map[string]*mailbox{}, map[int64]*mail{}
		}
		box = &mailbox{name: name}
		b.boxes[name] = box
	}
	return box
}

// arrive takes an event in.
func (b *inbox) arrive(m *Message) {
	box := b.boxOf(m.Name)
	in := &mail{Message: *m, box: box}
	in.v, in.number = in, m.Number
	b.mails[m.Number] = in
	b.bytes += in.size()
	box.mails.insert(&in.link)
	b.touch(box)
}

// expect takes a wait in, whose operation has its number; met says that the code has come to it.
func (b *inbox) expect(o *op, met bool) {
	w := &eventWait{op: o, box: b.boxOf(o.Name), met: met}
	w.v, w.number = w, o.Number
	o.wait = w
	w.box.waits.insert(&w.link)
	b.changed(w.box)
}

// visit notes that the code has come to a recorded wait.
func (b *inbox) visit(w *eventWait) {
	w.met = true
	b.passed(w)
	b.changed(w.box)
}

// passed is called when a wait has changed. If later waits of its name have got events, which it might have had, the pairs of
// the name are undone, to be made anew. That is seldom, so it need not be quick.
func (b *inbox) passed(w *eventWait) {
	if last := w.box.pairs.last; last != nil && last.number > w.number {
		b.part(w.box)
	}
}

// leave takes a wait out that is over. Its event, if it has one that it has not taken, is for the next ones.
func (b *inbox) leave(o *op) {
	w := o.wait
	if w == nil {
		return
	}
	o.wait = nil
	if w.mail != nil {
		b.part(w.box)
	}
	b.passed(w)
	w.leave()
	b.changed(w.box)
	b.tidy(w.box)
}

// leaveLost takes out the waits in branches that have lost.
func (b *inbox) leaveLost() {
	for _, box := range b.boxes {
		for l := box.waits.first; l != nil; {
			o := l.v.op
			l = l.next
			if o.place.inLost() {
				b.leave(o)
			}
		}
	}
}

// tidy forgets a name of which there is nothing any more.
func (b *inbox) tidy(box *mailbox) {
	if box.mails.n == 0 && box.waits.n == 0 && box.pairs.n == 0 && b.boxes[box.name] == box {
		delete(b.boxes, box.name)
	}
}

// consume takes an event out with the wait that has it: the wait is over.
func (b *inbox) consume(w *eventWait) *mail {
	m := w.mail
	w.op.wait, w.mail, m.wait = nil, nil, nil
	w.leave()
	b.forget(m)
	b.tidy(w.box)
	if b.taken == nil {
		b.taken = map[int64]*op{}
	}
	b.taken[m.Number] = w.op
	return m
}

// drop takes an event out that nobody shall have.
func (b *inbox) drop(m *mail) {
	if m.wait != nil {
		b.part(m.box)
		b.changed(m.box)
	}
	m.box.withdraw(m)
	b.forget(m)
	b.tidy(m.box)
}

func (b *inbox) forget(m *mail) {
	delete(b.mails, m.Number)
	b.bytes -= m.size()
}

// giveBack takes an event in again that a wait has taken.
func (b *inbox) giveBack(m *mail) {
	m.box = b.boxOf(m.Name)
	b.part(m.box) // later events may have gone to its waits
	b.mails[m.Number] = m
	b.bytes += m.size()
	m.box.mails.insert(&m.link)
	b.changed(m.box)
}

// part undoes the pairs of a name, so that they are made anew in the right order. A branch that is reading its event goes on
// reading, and looks afterwards whether the event is still its own.
func (b *inbox) part(box *mailbox) {
	for l := box.pairs.last; l != nil; l = box.pairs.last {
		b.unpair(l.v)
	}
}

// unpair undoes one pair.
func (b *inbox) unpair(w *eventWait) {
	m := w.mail
	w.mail, m.wait = nil, nil
	w.leave()
	w.box.waits.insert(&w.link)
	w.box.mails.insert(&m.link)
	b.changed(w.box)
}

// changed forgets what was known to fit none of the waits of a name.
func (b *inbox) changed(box *mailbox) {
	box.tried = [2]*link[*mail]{}
	b.touch(box)
}

func (b *inbox) touch(box *mailbox) {
	for i := range box.stale {
		if !box.stale[i] {
			box.stale[i] = true
			b.stale[i] = append(b.stale[i], box)
		}
	}
}

// match pairs events with waits. It returns the waits that have got an event, and the operations whose time was over when
// an event came; both slices are good until the next call.
//
// A recorded wait that this pass has not come to yet keeps its place in the order until all branches are blocked (idle):
// then the code does not have it any more. While a commit is on its way (committing), it may carry the time-out of a wait:
// an event that could go to that wait is left alone until the verdict.
func (b *inbox) match(idle, committing bool) (found []*eventWait, late []*op) {
	clear(b.found)
	clear(b.late)
	b.found, b.late = b.found[:0], b.late[:0]
	at := 0
	if idle {
		at = 1
	}
	boxes := b.stale[at]
	b.stale[at] = nil
	for _, box := range boxes {
		box.stale[at] = false
		if b.matchBox(box, at, committing) {
			b.touch(box)
		}
	}
	if len(b.stale[at]) == 0 {
		clear(boxes)
		b.stale[at] = boxes[:0]
	}
	return b.found, b.late
}

// matchBox pairs what is new of one name. It reports whether a commit decides first.
func (b *inbox) matchBox(box *mailbox, at int, committing bool) (undecided bool) {
	l := box.mails.first
	if tried := box.tried[at]; tried != nil {
		l = tried.next
	}
	for l != nil && box.waits.n > 0 {
		m := l.v
		l = l.next
		w, stop := b.waitFor(m, at == 1, committing)
		switch {
		case stop:
			return committing
		case w == nil:
			box.tried[at] = &m.link
			continue
		}
		box.withdraw(m)
		w.leave()
		box.pairs.insert(&w.link)
		w.mail, m.wait = m, w
		b.found = append(b.found, w)
	}
	return false
}

// waitFor finds the wait that an event belongs to, if it is there to take it. It stops where no later event can
// have one either, for now.
func (b *inbox) waitFor(m *mail, idle, committing bool) (w *eventWait, stop bool) {
	for l := m.box.waits.first; l != nil; l = l.next {
		w, o := l.v, l.v.op
		switch {
		case o.timingOut && committing:
			return nil, true // if the commit is applied, the event is for another wait
		case !o.DueAt.IsZero() && m.ArrivedAt.After(o.DueAt):
			if w.met && !w.late {
				w.late = true
				b.late = append(b.late, o)
			}
		case !w.met:
			if !idle {
				return nil, o.DueAt.IsZero() && l == m.box.waits.first
			}
		default:
			return w, false
		}
	}
	return nil, false
}

// withdraw takes an event out of those that are in no pair.
func (box *mailbox) withdraw(m *mail) {
	for at, tried := range box.tried {
		if tried == &m.link {
			box.tried[at] = m.prev
		}
	}
	m.leave()
}
