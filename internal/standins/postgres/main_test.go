//go:build linux || darwin

package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"testing"

	"github.com/lambdabiz/lambdabiz/internal/standins/postgres"
)

// hold makes this binary start a shared server, freeze it, say where it is, and wait to be killed.
const hold = "LAMBDABIZ_POSTGRES_HOLD"

func TestMain(m *testing.M) {
	if os.Getenv(hold) == "" {
		os.Exit(m.Run())
	}
	server := postgres.SharedServer(&recorder{}, 18)
	watcher, err := server.Watcher()
	err = errors.Join(err, server.Freeze(context.Background()))
	fmt.Println(server.URL("postgres"), server.Folder(), watcher, err)
	select {} // until killed
}

// recorder is a TB that notes how a test would have ended. Like testing's, its Skipf and Fatalf do not return.
type recorder struct{ ended string }

func (r *recorder) Helper()             {}
func (r *recorder) Cleanup(func())      {}
func (r *recorder) Failed() bool        { return false }
func (r *recorder) Logf(string, ...any) {}
func (r *recorder) Skipf(format string, args ...any) {
	r.ended = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

func (r *recorder) Fatalf(format string, args ...any) { r.Skipf(format, args...) }
