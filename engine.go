package lambdabiz

// Engine runs orchestrations on a backend.
type Engine struct{ registry *registry }

type registry struct{ errorRegistry }

func (r *errorRegistry) addError(t *ErrorRegistration) error {
	if r.types == nil {
		r.types = map[string]*ErrorRegistration{}
	}
	r.types[t.name] = t
	return nil
}
