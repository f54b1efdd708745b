package swf

import (
	"context"
	"time"

	"github.com/lambdabiz/lambdabiz/aws/swf/internal/wire"
)

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}

func now() time.Time { return wire.Stamp(time.Now()) }
