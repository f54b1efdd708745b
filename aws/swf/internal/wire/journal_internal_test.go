package wire

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestLongJournalsAreSplitBetweenCharacters(t *testing.T) {
	t.Parallel()
	text := strings.Repeat("aü€😀", 20_000)
	parts := Split(text)
	if strings.Join(parts, "") != text || len(parts) < 2 {
		t.Fatalf("%d parts", len(parts))
	}
	for i, part := range parts {
		if !utf8.ValidString(part) || len(part) > chunk {
			t.Errorf("part %d has %d bytes", i, len(part))
		}
	}
}
