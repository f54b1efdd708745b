package swf

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
)

// Keys of events are known by their hashes: a chain of runs carries those of the last ones, and would carry all
// of them for ever.
const (
	keyHash     = 12   // characters: 9 bytes, so that two of 1,000 keys meet once in 10^16 chains
	keysCarried = 1000 // at most, from one run to the next
	ownKeysKept = 32   // of those that their senders gave none: a repetition comes within seconds
)

// ownKey begins the keys of events that their senders gave none. No sender's key can begin with it.
const ownKey = "\x01"

// hashOf is a key as it is known; one of ours is still told by its beginning.
func hashOf(key string) string {
	sum := sha256.Sum256([]byte(key))
	hash := base64.RawURLEncoding.EncodeToString(sum[:9])
	if strings.HasPrefix(key, ownKey) {
		return ownKey + hash
	}
	return hash
}

func (f *fold) knowsKey(key string) bool { return f.keys[hashOf(key)] }

func (f *fold) addKey(hash string) {
	if !f.keys[hash] {
		f.keys[hash] = true
		f.keyOrder = append(f.keyOrder, hash)
	}
}

// addKeys takes what a run before has known.
func (f *fold) addKeys(s *startEnvelope) {
	for _, key := range s.Keys {
		f.addKey(hashOf(key))
	}
	for known := s.Known; len(known) >= keyHash; known = known[keyHash:] {
		f.addKey(known[:keyHash])
	}
	for own := s.Own; len(own) >= keyHash; own = own[keyHash:] {
		f.addKey(ownKey + own[:keyHash])
	}
}

// carryKeys gives the start of the next run the keys that it has to know: the latest ones, as many as there is room
// for. An event that goes with it brings its own.
func (f *fold) carryKeys(next *startEnvelope) (input string, err error) {
	var known, own []string
	for _, hash := range slices.Backward(f.keyOrder) {
		carried := slices.ContainsFunc(next.Events, func(e keptEvent) bool { return e.Key != "" && hashOf(e.Key) == hash })
		if plain, ours := strings.CutPrefix(hash, ownKey); !ours && !carried && len(known) < keysCarried {
			known = append(known, hash)
		} else if ours && len(own) < ownKeysKept {
			own = append(own, plain)
		}
	}
	slices.Reverse(known)
	slices.Reverse(own)
	next.Own = strings.Join(own, "")
	bare, err := fit("input of the next run, with its unconsumed events", next)
	if err != nil {
		return "", fmt.Errorf("%w: it carries %d events", err, len(next.Events))
	}
	room := (maxChars - len(`,"known":""`) - units(bare)) / keyHash
	next.Known = strings.Join(known[max(0, len(known)-max(0, room)):], "")
	return fit("input of the next run", next)
}
