package examples_test

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// A block of the README is the output of a first run, or, with after, of a run that follows a kill at that line. Some of
// it is left to chance.
var (
	block  = regexp.MustCompile("(?ms)^```text(?: after \"([^\"]+)\")?\n(.*?)^```$")
	chance = regexp.MustCompile(`[0-9]+|key [0-9a-f]{6}|state is in .*`)
)

// quick makes the examples quick; what they print stays the same, but for numbers.
var quick = map[string][]string{
	"sequence":     {"--pace", "400ms", "--cool-down", "100ms"},
	"restsequence": {"--pace", "0"},
	"order":        {"--pace", "700ms"},
	"fanout":       {"--pace", "200ms"},
	"poller":       {"--every", "20ms"},
	"approval":     {}, // its answer comes nine days before the form expires: they must not be short
	"agent":        {"--pace", "400ms"},
}

// TestReadmeShowsRealOutput finds each line that the README shows in what the program really prints.
func TestReadmeShowsRealOutput(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	page := string(text)
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, rest, found := strings.Cut(page, "\n## "+name+"\n")
			rest, _, _ = strings.Cut(rest, "\n## ")
			if !found || !strings.Contains(rest, "    go run ./examples/"+name+"\n") {
				t.Fatalf("README.md has no section about %s with its command", name)
			}
			blocks := block.FindAllStringSubmatch(rest, -1)
			if len(blocks) == 0 {
				t.Fatal("the section shows no output")
			}
			for _, b := range blocks {
				p := setup(t, name, quick[name]...)
				if b[1] != "" {
					p.until(b[1], os.Kill)
				}
				printed := map[string]bool{}
				for line := range strings.Lines(p.call(0)) {
					printed[chance.ReplaceAllString(line, "#")] = true
				}
				for line := range strings.Lines(b[2]) {
					if !printed[chance.ReplaceAllString(line, "#")] {
						t.Errorf("the program does not print %q, but\n%v", line, printed)
					}
				}
			}
		})
	}
}
