package history

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/lambdabiz/lambdabiz/aws/swf/internal/wire"
)

// Keys of events are known by their hashes: a chain of runs carries those of the last ones, and would carry all
// of them for ever.
const (
	keyHash     = 12   // characters: 9 bytes, so that two of 1,000 keys meet once in 10^16 chains
	keysCarried = 1000 // at most, from one run to the next
	ownKeysKept = 32   // of those that their senders gave none: a repetition comes within seconds
)

// OwnKey begins the keys of events that their senders gave none. No sender's key can begin with it.
const OwnKey = "\x01"

// hashOf is a key as it is known; one of ours is still told by its beginning.
func hashOf(key string) string {
	sum := sha256.Sum256([]byte(key))
	hash := base64.RawURLEncoding.EncodeToString(sum[:9])
	if strings.HasPrefix(key, OwnKey) {
		return OwnKey + hash
	}
	return hash
}

// keys are the hashes of those of all events that a run has got.
type keys struct {
	known map[string]bool
	order []string // as they came
}

func (k *keys) clone() keys { return keys{maps.Clone(k.known), slices.Clone(k.order)} }

// KnowsKey reports whether the run has got an event with the key.
func (k *keys) KnowsKey(key string) bool { return k.known[hashOf(key)] }

// add reports whether the hash is new.
func (k *keys) add(hash string) bool {
	if k.known[hash] {
		return false
	}
	k.known[hash] = true
	k.order = append(k.order, hash)
	return true
}

// addFrom takes what a run before has known.
func (k *keys) addFrom(s *wire.Start) {
	for _, key := range s.Keys {
		k.add(hashOf(key))
	}
	for known := s.Known; len(known) >= keyHash; known = known[keyHash:] {
		k.add(known[:keyHash])
	}
	for own := s.Own; len(own) >= keyHash; own = own[keyHash:] {
		k.add(OwnKey + own[:keyHash])
	}
}

// CarryKeys gives the start of the next run the keys that it has to know: the latest ones, as many as there is room
// for. An event that goes with it brings its own.
func (k *keys) CarryKeys(next *wire.Start) (input string, err error) {
	var known, own []string
	for _, hash := range slices.Backward(k.order) {
		carried := slices.ContainsFunc(next.Events, func(e wire.KeptEvent) bool { return e.Key != "" && hashOf(e.Key) == hash })
		if plain, ours := strings.CutPrefix(hash, OwnKey); !ours && !carried && len(known) < keysCarried {
			known = append(known, hash)
		} else if ours && len(own) < ownKeysKept {
			own = append(own, plain)
		}
	}
	slices.Reverse(known)
	slices.Reverse(own)
	next.Own = strings.Join(own, "")
	bare, err := wire.Fit("input of the next run, with its unconsumed events", next)
	if err != nil {
		return "", fmt.Errorf("%w: it carries %d events", err, len(next.Events))
	}
	room := (wire.MaxChars - len(`,"known":""`) - wire.Units(bare)) / keyHash
	next.Known = strings.Join(known[max(0, len(known)-max(0, room)):], "")
	return wire.Fit("input of the next run", next)
}
