package lambdabiz_test

import (
	"testing"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/memory"
)

func TestRegisterRefusesEmptyResolvers(t *testing.T) {
	t.Parallel()
	b := memory.New()
	e, err := lambdabiz.New(b, lambdabiz.Config{})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range []*lambdabiz.TaskResolver{nil, lambdabiz.NewTaskResolver(nil)} {
		if err := e.Register(r); err == nil {
			t.Error("an empty resolver was registered")
		}
	}
}
