package logbook

import (
	"bytes"
	"strings"
	"sync"
)

// Book keeps what any number of goroutines write. The zero value is empty.
type Book struct {
	Most int // a book with more bytes begins anew; 0 for no limit

	mu   sync.Mutex
	text bytes.Buffer
}

// Write adds to the book, and never fails.
func (b *Book) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.Most > 0 && b.text.Len() > b.Most {
		b.text.Reset()
	}
	return b.text.Write(p)
}

// Reset begins the book anew.
func (b *Book) Reset() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.text.Reset()
}

// String is what was written.
func (b *Book) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// Has reports whether a text was written.
func (b *Book) Has(text string) bool { return strings.Contains(b.String(), text) }

// Tail is the end of what was written, of at most so many bytes.
func (b *Book) Tail(bytes int) string {
	text := b.String()
	return text[max(0, len(text)-bytes):]
}
