package plan

import (
	"fmt"
	"strings"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/aws/swf/internal/history"
)

// Denied is why a commit is not sent: SWF would refuse a part of it. One that only blocks the run is.
func Denied(f *history.Fold, c *lambdabiz.Commit) error {
	if f.Denied == "" || c.Release != nil && c.Release.Blocked != nil {
		return nil
	}
	decision, cause, _ := strings.Cut(f.Denied, ": ")
	if cause == history.NotPermitted {
		return fmt.Errorf("decide: Amazon SWF does not permit %s: allow swf:%s to the role of the workers, then resume the orchestration",
			decision, decision)
	}
	return fmt.Errorf("decide: Amazon SWF refuses %s: %s; resume the orchestration when that has changed", decision, cause)
}
