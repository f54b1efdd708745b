package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/lambdabiz/lambdabiz/examples/aws/sequence"
)

// startService starts the REST service of the example.
func (l *local) startService(ctx context.Context) error {
	mux := http.NewServeMux()
	for pattern, message := range map[string]string{
		"GET /api/v1/employees":      "Successfully! All records has been fetched.",
		"POST /api/v1/create":        "Successfully! Record has been added.",
		"PUT /api/v1/update/{id}":    "Successfully! Record has been updated.",
		"DELETE /api/v1/delete/{id}": "Successfully! Record has been deleted.",
	} {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(l.Out, "  the REST service gets %s %s\n", r.Method, r.URL.Path)
			w.Header().Set("Content-Type", "application/json")
			answer := sequence.ServiceResponse{Status: "success", Message: message}
			if err := json.NewEncoder(w).Encode(answer); err != nil {
				panic(http.ErrAbortHandler) // the caller is gone
			}
		})
	}
	var err error
	l.service, err = l.listen(ctx, mux)
	return err
}
