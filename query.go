package lambdabiz

// stateOf makes the state of a record.
func stateOf(rec *Record) *State {
	s := &State{RunInfo: rec.RunInfo, Operations: rec.Operations, WaitingFor: []Waiting{}}
	if s.Operations == nil {
		s.Operations = []Operation{}
	}
	if s.Worker != 0 || s.Status.Ended() {
		s.Blocked = nil // it goes on, or is over
	}
	for _, o := range rec.Operations {
		if !s.Status.Ended() && !o.Status.Ended() {
			s.WaitingFor = append(s.WaitingFor, Waiting{o.ID, o.Kind, o.Name, o.DueAt})
		}
	}
	dropped := map[int64]bool{}
	for i := range rec.Messages {
		if m := &rec.Messages[i]; m.Kind == MessageDrop {
			dropped[m.Operation] = true
		}
	}
	for i := range rec.Messages {
		if m := &rec.Messages[i]; m.Kind == MessageEvent && !dropped[m.Number] {
			s.Events = append(s.Events, Buffered{m.Number, m.Name, m.Key, m.Payload, m.ArrivedAt})
		}
	}
	return s
}
