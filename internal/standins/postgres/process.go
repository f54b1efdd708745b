package postgres

import (
	"bufio"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

//go:embed watch.sh
var watch string

// patience is how long anything here may take on a busy computer, where the caller's context has no end.
const patience = 2 * time.Minute

// process is a server that can be started again and again: a PostgreSQL, or a PgBouncer.
type process struct {
	name    string // for errors
	folder  string // its own, removed when it is over
	user    *user
	command []string
	ready   string         // stands in the line that it logs when it serves
	abandon syscall.Signal // ends it with the test, or with the test binary
	log     journal

	mu   sync.Mutex
	life *life // the present one; nil while it does not run
}

// life is one process, from its start to the end of its last child.
type life struct {
	pid    int // the server's; 0 if it never came so far
	frozen bool
	gone   chan struct{} // closed when neither it nor a child of it runs
}

// Start starts it again after it has ended, on the same address, and returns when it serves.
func (p *process) Start(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.life != nil {
		select {
		case <-p.life.gone:
		default:
			return fmt.Errorf("start %s: it runs already", p.name)
		}
	}
	ready := p.log.expect(has(p.ready))
	defer p.log.forget(ready)
	l, err := p.spawn(ctx)
	if err != nil {
		return fmt.Errorf("start %s: %w", p.name, err)
	}
	p.life = l
	select {
	case <-ready.seen:
		return nil
	case <-l.gone:
		return fmt.Errorf("start %s: it ended before it served:\n%s", p.name, &p.log)
	case <-ctx.Done():
		err := errors.Join(fmt.Errorf("start %s: %w:\n%s", p.name, ctx.Err(), &p.log), p.end(l, syscall.SIGKILL))
		<-l.gone
		return err
	}
}

// spawn starts the command under watch.sh, and returns when its number is known.
func (p *process) spawn(ctx context.Context) (*life, error) {
	output, write, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	args := append([]string{"-c", watch, "watch.sh", p.folder, strconv.Itoa(int(p.abandon))}, p.command...)
	cmd := p.user.command(context.WithoutCancel(ctx), p.folder, "sh", args...)
	cmd.Stdout, cmd.Stderr = write, write
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, errors.Join(err, output.Close(), write.Close())
	}
	err = cmd.Start()
	_ = write.Close() // the child's
	if err != nil {
		return nil, errors.Join(err, output.Close(), stdin.Close())
	}
	l := &life{gone: make(chan struct{})}
	known := make(chan struct{})
	go func() {
		p.read(output, func(pid int) {
			l.pid = pid
			close(known)
		})
		_ = output.Close()
		_, _ = io.WriteString(stdin, "ended\n")
		_ = stdin.Close()
		_ = cmd.Wait() // says how the shell ended
		close(l.gone)
	}()
	select {
	case <-known:
	case <-l.gone:
	}
	return l, nil
}

// read takes the lines of the log until the last process has closed it.
func (p *process) read(output io.Reader, known func(pid int)) {
	told := false
	for lines := bufio.NewReader(output); ; {
		line, err := lines.ReadString('\n')
		line = strings.TrimRight(line, "\n")
		number, isPid := strings.CutPrefix(line, "pid ")
		if pid, bad := strconv.Atoi(number); !told && isPid && bad == nil {
			told = true
			known(pid)
		} else if line != "" {
			p.log.add(line)
		}
		if err != nil {
			return
		}
	}
}

// Kill kills it by SIGKILL, and returns when it and all its children are gone. What it has acknowledged stays.
func (p *process) Kill(ctx context.Context) error {
	return p.signal(ctx, syscall.SIGKILL)
}

// signal ends it by the signal and returns when all of it is gone. What does not run needs no end.
func (p *process) signal(ctx context.Context, sig syscall.Signal) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	p.mu.Lock()
	defer p.mu.Unlock()
	l := p.life
	if l == nil {
		return nil
	}
	if err := p.end(l, sig); err != nil {
		return fmt.Errorf("end %s: %w", p.name, err)
	}
	select {
	case <-l.gone:
		p.life = nil
		return nil
	case <-ctx.Done():
		return fmt.Errorf("end %s: %w", p.name, ctx.Err())
	}
}

// end sends the signal that ends it; what is frozen goes on for as long as that takes.
func (p *process) end(l *life, sig syscall.Signal) error {
	select {
	case <-l.gone: // the number may be another's by now
		return nil
	default:
	}
	if l.frozen {
		l.frozen = false
		return endFrozen(l.pid, sig)
	}
	return send(l.pid, sig)
}

// Freeze stops it and all its children where they are, as a machine does that hangs: what is connected stays so, and gets no
// answer.
func (p *process) Freeze(ctx context.Context) error {
	return p.halt(ctx, true)
}

// Thaw lets it go on after Freeze.
func (p *process) Thaw(ctx context.Context) error {
	return p.halt(ctx, false)
}

func (p *process) halt(ctx context.Context, frozen bool) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	l := p.life
	if l == nil {
		return fmt.Errorf("freeze or thaw %s: it does not run", p.name)
	}
	if l.frozen == frozen {
		return nil
	}
	do := thaw
	if frozen {
		do = freeze
	}
	if err := do(ctx, l.pid); err != nil {
		return fmt.Errorf("freeze or thaw %s: %w", p.name, err)
	}
	l.frozen = frozen
	return nil
}

// remove ends it for good, and removes its folder.
func (p *process) remove(ctx context.Context) error {
	err := p.signal(ctx, p.abandon)
	forgetMemory(filepath.Join(p.folder, "data"))
	return errors.Join(err, os.RemoveAll(p.folder))
}

// run runs a program of PostgreSQL to its end.
func run(cmd *exec.Cmd) error {
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", cmd.Path, err, out)
	}
	return nil
}
