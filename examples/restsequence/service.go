package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// service is a small REST service for employees. It keeps them in memory only, so it forgets when it is killed; it answers
// a request whose Idempotency-Key it knows as it did before.
type service struct {
	server *http.Server
	pace   time.Duration // how long a request takes

	mu        sync.Mutex
	refused   bool // a POST, once
	employees map[int]Employee
	answered  map[string]Employee // by idempotency key
}

// startService listens at an address until close is called.
func startService(ctx context.Context, address string, pace time.Duration) (*service, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("start the REST service: %w (--listen takes another address)", err)
	}
	s := &service{pace: pace, answered: map[string]Employee{}, employees: map[int]Employee{
		7: {ID: 7, Name: "Grace", Salary: 5100}, 21: {ID: 21, Name: "Edsger", Salary: 4400},
	}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /employees", s.list)
	mux.HandleFunc("POST /employees", s.create)
	mux.HandleFunc("PUT /employees/{id}", s.update)
	mux.HandleFunc("DELETE /employees/{id}", s.remove)
	s.server = &http.Server{Handler: s.log(mux), ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = s.server.Serve(listener) }() // it ends with close
	return s, nil
}

func (s *service) close() error { return s.server.Close() }

// log prints each request, takes its time, and refuses the first POST: services are like that.
func (s *service) log(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		fmt.Printf("  service: %s %s, key %.6s\n", r.Method, r.URL.Path, r.Header.Get("Idempotency-Key"))
		time.Sleep(s.pace)
		if r.Method == http.MethodPost && !s.refused {
			s.refused = true
			fmt.Println("  service: 503, too busy")
			http.Error(w, "too busy, try again", http.StatusServiceUnavailable)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (s *service) list(w http.ResponseWriter, _ *http.Request) {
	all := []Employee{}
	for _, e := range s.employees {
		all = append(all, e)
	}
	answer(w, http.StatusOK, all)
}

func (s *service) create(w http.ResponseWriter, r *http.Request) {
	key := r.Header.Get("Idempotency-Key")
	if known, ok := s.answered[key]; ok {
		answer(w, http.StatusOK, known)
		return
	}
	s.write(w, r, 22+len(s.answered), http.StatusCreated)
}

func (s *service) update(w http.ResponseWriter, r *http.Request) {
	id, err := strconv.Atoi(r.PathValue("id"))
	if err != nil {
		http.NotFound(w, r)
		return
	}
	s.write(w, r, id, http.StatusOK)
}

func (s *service) remove(w http.ResponseWriter, r *http.Request) {
	id, err := strconv.Atoi(r.PathValue("id"))
	if _, ok := s.employees[id]; err != nil || !ok {
		http.NotFound(w, r)
		return
	}
	delete(s.employees, id)
	w.WriteHeader(http.StatusNoContent)
}

// write keeps the employee of a request under an id.
func (s *service) write(w http.ResponseWriter, r *http.Request, id, status int) {
	var e Employee
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<16)).Decode(&e); err != nil {
		http.Error(w, "the body must be an employee in JSON", http.StatusBadRequest)
		return
	}
	e.ID = id
	s.employees[id], s.answered[r.Header.Get("Idempotency-Key")] = e, e
	answer(w, status, e)
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) //nolint:errchkjson // the caller is gone, and will ask again
}
