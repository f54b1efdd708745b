package lambdabiz

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
)

// Registrable is what [Engine.Register] takes: a *Definition, a *Task, a *TaskResolver, an
// *ErrorRegistration, or [Registrables].
type Registrable interface{ register(r *registry) error }

// Registrables is several as one.
type Registrables []Registrable

func (list Registrables) register(r *registry) error { return r.add(list) }

// registry is what is known by name.
type registry struct {
	errorRegistry
	mu          sync.RWMutex
	definitions map[string]*definitionSpec
	inOrder     []string // their names, sorted; nil until somebody asks
	tasks       map[taskID]*taskSpec
	resolvers   []*TaskResolver
}

func newRegistry(maxFailure int) *registry {
	return &registry{
		errorRegistry: errorRegistry{types: map[string]*ErrorRegistration{}, limit: maxFailure},
		definitions:   map[string]*definitionSpec{}, tasks: map[taskID]*taskSpec{},
	}
}

func addNamed[K, T comparable](r *registry, table map[K]T, key K, what, name string, v T) error {
	if err := checkID(what+" name", name); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if known, ok := table[key]; ok && known != v {
		return fmt.Errorf("%s %q is registered already", what, name)
	}
	table[key] = v
	return nil
}

func (r *registry) addDefinition(d *definitionSpec) error {
	if err := addNamed(r, r.definitions, d.name, "definition", d.name, d); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.inOrder = nil
	return nil
}

func (r *registry) addTask(t *taskSpec) error {
	return addNamed(r, r.tasks, taskID{t.kind, t.name}, "task", t.name, t)
}

// taskID tells a task from a service of the same name.
type taskID struct {
	kind Kind
	name string
}

func (r *registry) addError(t *ErrorRegistration) error {
	if err := addNamed(r, r.types, t.name, "error", t.name, t); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !slices.Contains(r.order, t) {
		r.order = append(r.order, t)
	}
	return nil
}

func (r *registry) definition(name string) *definitionSpec {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.definitions[name]
}

// task returns the task that is registered with the name and kind of t, or t itself.
func (r *registry) task(t *taskSpec) *taskSpec {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if known, ok := r.tasks[taskID{t.kind, t.name}]; ok {
		return known
	}
	return t
}

func (r *registry) hasTask(kind Kind, name string) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	_, ok := r.tasks[taskID{kind, name}]
	return ok
}

// taskNames are the names of registered tasks of a kind.
func (r *registry) taskNames(kind Kind) []string {
	r.mu.RLock()
	defer r.mu.RUnlock()
	var names []string
	for id := range r.tasks {
		if id.kind == kind {
			names = append(names, id.name)
		}
	}
	return sorted(names)
}

// kinds are the kinds of which tasks are registered.
func (r *registry) kinds() []Kind {
	var kinds []Kind
	for _, kind := range []Kind{KindTask, KindService} {
		if len(r.taskNames(kind)) > 0 {
			kinds = append(kinds, kind)
		}
	}
	return kinds
}

// names are those of the definitions, in order. Nobody may change the list: it is made once, until there are others.
func (r *registry) names() []string {
	r.mu.RLock()
	names := r.inOrder
	r.mu.RUnlock()
	if names != nil {
		return names
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.inOrder = slices.AppendSeq(make([]string, 0, len(r.definitions)), maps.Keys(r.definitions))
	slices.Sort(r.inOrder)
	return r.inOrder
}

func sorted(s []string) []string {
	slices.Sort(s)
	return s
}

// add makes items known.
func (r *registry) add(items []Registrable) error {
	for _, item := range items {
		if err := item.register(r); err != nil {
			return fmt.Errorf("register: %w", err)
		}
	}
	return nil
}

// resolved returns the task that is registered with the name and kind of t, or t itself, with a function by a
// resolver if it has none. Where the home performs tasks itself, resolvers are not asked. An error means that a resolver
// has panicked.
func (r *registry) resolved(t *taskSpec, home *Description) (*taskSpec, error) {
	t = r.task(t)
	if t.run != nil || t.kind != KindTask || home.performs(KindTask) {
		return t, nil
	}
	r.mu.RLock()
	resolvers := r.resolvers // grows only
	r.mu.RUnlock()
	for _, resolver := range resolvers {
		v, err := guard(func() (any, error) { return resolver.resolve(t.name), nil })
		if err != nil {
			return t, fmt.Errorf("a task resolver over task %q: %w", t.name, err)
		}
		if f, ok := v.(TaskFunc); ok && f != nil {
			return &taskSpec{name: t.name, kind: t.kind, run: func(ctx context.Context, _ *payloads, in Payload, _ any) (any, error) {
				return f(ctx, in)
			}}, nil
		}
	}
	return t, nil
}

// knows reports whether a task is registered, or known to a resolver: found is what it was resolved to.
func (r *registry) knows(asked, found *taskSpec) bool {
	return r.hasTask(asked.kind, asked.name) || asked.run == nil && found.run != nil
}

func (r *ErrorRegistration) register(registry *registry) error { return registry.addError(r) }

func (d *Definition[In, Out]) register(r *registry) error { return r.addDefinition(d.spec) }

func (t *Task[In, Out]) register(r *registry) error { return r.addTask(t.spec) }

func (t *TaskResolver) register(r *registry) error {
	if t == nil || t.resolve == nil {
		return errors.New("task resolver: its function is nil (make one with NewTaskResolver)")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.resolvers = append(r.resolvers, t)
	return nil
}
