package sqlite

import (
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/gofrs/flock"
)

// A process that looked for writers just as another one made its note took it for one of the dead and removed it, and
// nobody was told of that process as long as it lived.
func TestANoteThatIsBeingMadeIsNotTakenForOneOfTheDead(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "test.db")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	a := &anchor{path: path}
	ends := make(chan struct{})
	var others sync.WaitGroup
	for range 2 {
		others.Go(func() {
			for {
				select {
				case <-ends:
					return
				default:
				}
				if _, err := a.writers(); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for token := range int64(300) {
		n := &note{file: a, token: token}
		n.begin()
		if n.open == nil {
			t.Errorf("note %d could not be made", token)
			break
		}
		l := flock.New(n.open.Name(), flock.SetFlag(os.O_RDONLY))
		if free, err := l.TryLock(); err != nil || free {
			t.Errorf("note %d is locked: %t, %v", token, !free, err)
			_ = l.Close()
			break
		}
		n.drop()
	}
	close(ends)
	others.Wait()
}
