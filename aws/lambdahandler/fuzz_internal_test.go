package lambdahandler

import (
	"encoding/json"
	"errors"
	"testing"
)

// What invokes the function may send anything: it is refused by a *RequestError that names the field, or it is
// an orchestration's request whose input is JSON.
func FuzzRequest(f *testing.F) {
	f.Add([]byte(`{"orchestrationId":"a","name":"Order","input":{"n":1}}`))
	f.Add([]byte(`{"orchestrationId":"","lambdaRole":"arn"}`))
	f.Add([]byte(`{"orchestrationId":"a","name":"Other"}`))
	f.Add([]byte(`{"orchestrationId":7}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, event []byte) {
		var r Request
		if json.Unmarshal(event, &r) != nil {
			return
		}
		h := &Handler{config: Config{Names: []string{"Order"}, LambdaRoles: []string{"role"}}}
		given := r
		refused := h.refuse(&r)
		var request *RequestError
		switch {
		case refused != nil && (!errors.As(refused, &request) || request.Field == "" || request.Error() == ""):
			t.Errorf("%s gave %v", event, refused)
		case refused == nil && (given.OrchestrationID == "" || r.Name != "Order" || !json.Valid(r.Input)):
			t.Errorf("%s was taken as %+v", event, r)
		}
	})
}
