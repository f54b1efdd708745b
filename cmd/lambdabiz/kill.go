package main

import (
	"fmt"
	"os"
	"strings"
	"sync/atomic"
)

// killer ends this process by force once the end of a chosen operation is on disk. From the moment at
// which the operation has ended in memory, nothing else may have an effect: bodies that were about to
// begin are held, and so is the end of the program.
type killer struct {
	id        string // the orchestration
	operation string // empty: nobody is killed
	armed     atomic.Bool
}

func newKiller(operation, prefix string) *killer {
	id := prefix + sequenceName
	if strings.HasPrefix(operation, "Service") || operation == raiseID {
		id = prefix + serviceName
	}
	return &killer{id: id, operation: operation}
}

func (k *killer) chosen(id, operation string) bool {
	return k.operation != "" && k.operation == operation && k.id == id
}

// ended is told of each operation that has ended in this process, on disk or not.
func (k *killer) ended(id, operation string) {
	if k.chosen(id, operation) {
		k.armed.Store(true)
	}
}

// hold blocks for ever when the kill is near.
func (k *killer) hold() {
	if k.armed.Load() {
		select {}
	}
}

// durable is told of each operation whose end has been read back from the store.
func (k *killer) durable(id, operation string) {
	if !k.chosen(id, operation) || !k.armed.Load() {
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
