package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
)

// Payment is what the bank is asked for: a new payment, or, for a refund, one that has an ID.
type Payment struct {
	ID    string
	Cents int
}

// bank is a fake payment service. Like a real one it is told a key with each request, and books each key once. Its books
// are a file, one line for each request, so that they survive this program.
type bank struct {
	mu   sync.Mutex
	file *os.File
}

// booking is a line of the bank's file.
type booking struct {
	Key, Kind, ID string
	Cents         int
	Repeated      bool // the key was known: no money was moved
}

func openBank(path string) (*bank, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the bank's books: %w", err)
	}
	return &bank{file: file}, nil
}

func (b *bank) close() error { return b.file.Close() }

// book moves money, unless the key was seen before: then it answers what it answered before.
func (b *bank) book(key, kind string, p Payment) (booking, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	all, err := b.bookings()
	if err != nil {
		return booking{}, err
	}
	entry := booking{Key: key, Kind: kind, ID: p.ID, Cents: p.Cents}
	if entry.ID == "" {
		entry.ID = fmt.Sprintf("payment-%d", len(all)+1)
	}
	for _, known := range all {
		if known.Key == key {
			entry.ID, entry.Repeated = known.ID, true
		}
	}
	line, err := json.Marshal(entry)
	if err != nil {
		return booking{}, err
	}
	if _, err := b.file.Write(append(line, '\n')); err != nil {
		return booking{}, err
	}
	return entry, b.file.Sync()
}

// bookings reads the books from their beginning.
func (b *bank) bookings() ([]booking, error) {
	if _, err := b.file.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	var all []booking
	for lines := json.NewDecoder(b.file); ; {
		var entry booking
		switch err := lines.Decode(&entry); {
		case errors.Is(err, io.EOF):
			return all, nil
		case err != nil:
			return nil, fmt.Errorf("read the bank's books: %w", err)
		}
		all = append(all, entry)
	}
}

// moved is how much money was moved in all, and how many requests were repetitions.
func (b *bank) moved() (charged, refunded, repeated int, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	all, err := b.bookings()
	for _, entry := range all {
		switch {
		case entry.Repeated:
			repeated++
		case entry.Kind == "charge":
			charged += entry.Cents
		default:
			refunded += entry.Cents
		}
	}
	return charged, refunded, repeated, err
}
