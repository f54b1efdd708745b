package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"
)

// Employee is what the demo's service keeps.
type Employee struct {
	ID     int     `json:"id,omitempty"`
	Name   string  `json:"name"`
	Salary float64 `json:"salary"`
	Age    int     `json:"age"`
}

// Removed is the service's answer to a DELETE.
type Removed struct {
	Removed int `json:"removed"`
}

// service is the REST service that RESTSequence1 calls: employees in memory, on loopback.
type service struct {
	server *http.Server
	url    string

	mu        sync.Mutex
	employees map[int]Employee
	created   map[string]Employee // by idempotency key: the same request twice makes one employee
}

// startService listens at an address, "127.0.0.1:0" for any free port.
func startService(ctx context.Context, address string) (*service, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("start the demo's service: %w", err)
	}
	s := &service{
		url: "http://" + listener.Addr().String() + "/",
		employees: map[int]Employee{
			7:  {ID: 7, Name: "Grace", Salary: 5100, Age: 45},
			21: {ID: 21, Name: "Edsger", Salary: 4400, Age: 51},
		},
		created: map[string]Employee{},
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /employees", s.list)
	mux.HandleFunc("POST /create", s.create)
	mux.HandleFunc("PUT /update/{id}", s.update)
	mux.HandleFunc("DELETE /delete/{id}", s.remove)
	s.server = &http.Server{Handler: http.MaxBytesHandler(mux, 1<<16), ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = s.server.Serve(listener) }() // it ends with close
	return s, nil
}

func (s *service) close() error {
	if s == nil {
		return nil
	}
	return s.server.Close()
}

func (s *service) list(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	answer(w, http.StatusOK, []Employee{s.employees[7], s.employees[21]})
}

func (s *service) create(w http.ResponseWriter, r *http.Request) {
	e, ok := readEmployee(w, r)
	if !ok {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	key := r.Header.Get("Idempotency-Key")
	if known, again := s.created[key]; again {
		answer(w, http.StatusOK, known)
		return
	}
	e.ID = 22 + len(s.created)
	s.employees[e.ID], s.created[key] = e, e
	answer(w, http.StatusCreated, e)
}

func (s *service) update(w http.ResponseWriter, r *http.Request) {
	id, err := strconv.Atoi(r.PathValue("id"))
	if err != nil {
		http.NotFound(w, r)
		return
	}
	e, ok := readEmployee(w, r)
	if !ok {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	e.ID = id
	s.employees[id] = e
	answer(w, http.StatusOK, e)
}

func (s *service) remove(w http.ResponseWriter, r *http.Request) {
	id, err := strconv.Atoi(r.PathValue("id"))
	if err != nil {
		http.NotFound(w, r)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.employees, id) // removing what is gone already is no error: the request may come twice
	answer(w, http.StatusOK, Removed{id})
}

func readEmployee(w http.ResponseWriter, r *http.Request) (Employee, bool) {
	var e Employee
	if err := json.NewDecoder(r.Body).Decode(&e); err != nil {
		http.Error(w, "the body must be an employee in JSON", http.StatusBadRequest)
		return e, false
	}
	return e, true
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) //nolint:errchkjson // the caller is gone, and will ask again
}

// addressOf returns where a service with a recorded URL must listen, and false if it is not one that
// the demo has started: an orchestration that goes on calls the URL that its input holds.
func addressOf(rawURL string) (string, bool) {
	u, err := url.Parse(rawURL)
	if err != nil || u.Scheme != "http" || u.Port() == "" {
		return "", false
	}
	ip := net.ParseIP(u.Hostname())
	return u.Host, ip != nil && ip.IsLoopback()
}

// openService starts the service for a RESTSequence1 with this input, nil when it has none yet.
func openService(ctx context.Context, recorded *ServiceInput) (*service, error) {
	if recorded == nil {
		return startService(ctx, "127.0.0.1:0")
	}
	address, ours := addressOf(recorded.URL)
	if !ours {
		return nil, nil //nolint:nilnil // it is called where it is
	}
	s, err := startService(ctx, address)
	if _, ok := errors.AsType[*net.OpError](err); ok {
		return nil, fmt.Errorf("%w: a started %s calls its service there; end the program that has the "+
			"port (another demo?), or use another --id", err, serviceName)
	}
	return s, err
}
