package demo

import (
	"fmt"
	"os"
	"strings"
	"sync"
)

// killer ends this process by force once the end of a chosen operation is on disk. From the moment at
// which the operation has ended in memory, nothing else may have an effect: bodies that were about to
// begin are held, and so is the end of the program.
type killer struct {
	id        string // the orchestration
	operation string // empty: nobody is killed

	mu     sync.Mutex
	here   bool // it has ended in this process
	onDisk bool // its end was read back
}

func newKiller(operation, prefix string) *killer {
	id := prefix + sequenceName
	if strings.HasPrefix(operation, "Service") || operation == RaiseID {
		id = prefix + serviceName
	}
	return &killer{id: id, operation: operation}
}

// ended is told of each operation that has ended in this process, on disk or not. What the store
// decides, the refusal of an event for one, is told after it is on disk.
func (k *killer) ended(id, operation string) { k.learn(id, operation, &k.here) }

// durable is told of each operation whose end has been read back from the store.
func (k *killer) durable(id, operation string) { k.learn(id, operation, &k.onDisk) }

func (k *killer) learn(id, operation string, fact *bool) {
	if k.operation == "" || k.operation != operation || k.id != id {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	*fact = true
	if !k.here || !k.onDisk {
		return
	}
	self, err := os.FindProcess(os.Getpid())
	if err == nil {
		err = self.Kill()
	}
	if err != nil {
		panic(fmt.Sprintf("kill process: %v", err)) // the next best way to end at once
	}
	select {}
}

// near reports whether the chosen operation has ended in this process.
func (k *killer) near() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.here
}

// hold blocks for ever when the kill is near.
func (k *killer) hold() {
	if k.near() {
		select {}
	}
}
