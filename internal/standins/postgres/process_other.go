//go:build !linux && !darwin

package postgres

import (
	"context"
	"errors"
	"os/exec"
	"syscall"
)

// supported says whether servers can be started here.
const supported = false

type user struct{}

func serverUser() (*user, error) { return nil, errors.ErrUnsupported }

func (*user) command(ctx context.Context, folder, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = folder
	return cmd
}

func (*user) own(string) error { return errors.ErrUnsupported }

func send(int, syscall.Signal) error { return errors.ErrUnsupported }

func endFrozen(int, syscall.Signal) error { return errors.ErrUnsupported }

func freeze(context.Context, int) error { return errors.ErrUnsupported }

func thaw(context.Context, int) error { return errors.ErrUnsupported }

func forgetMemory(string) {}
