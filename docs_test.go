package lambdabiz_test

import (
	"fmt"
	"go/ast"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/lambdabiz/lambdabiz"
)

// page reads a file of the documentation.
func page(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("docs", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// withoutIndent is code whose lines begin at their first word, so that a part of a function can be found in it.
func withoutIndent(code string) string {
	lines := strings.Split(strings.TrimSpace(code), "\n")
	for i, line := range lines {
		lines[i] = strings.TrimSpace(line)
	}
	return strings.Join(lines, "\n")
}

// TestDocsSnippetsAreCompiled finds each piece of Go in the pages for AWS and for C# programmers in a file that is compiled
// and tested.
func TestDocsSnippetsAreCompiled(t *testing.T) {
	t.Parallel()
	var compiled []string
	for _, f := range goFiles(t) {
		if f.dir == "examples/fromcsharp" {
			compiled = append(compiled, withoutIndent(f.text))
		}
	}
	snippets := goBlock.FindAllStringSubmatch(page(t, "from-csharp.md")+page(t, "aws.md"), -1)
	if len(snippets) < 15 {
		t.Errorf("there are %d snippets only", len(snippets))
	}
	for _, s := range snippets {
		if code := withoutIndent(s[1]); !slices.ContainsFunc(compiled, func(f string) bool { return strings.Contains(f, code) }) {
			t.Errorf("this is in no file of examples/fromcsharp:\n%s", s[1])
		}
	}
}

// originalNames are the public names of LambdaBiz for C#, version 1.0.1.
const originalNames = `
IOrchestrationFactory CreateOrchestrationAsync AWSOrchestrationFactory awsAccessKey awsSecretAccessKey awsRegion
usePersistantStore lambdaRole
IOrchestration AWSOrchestration CallTaskAsync WaitForEventAsync RaiseEventAsync StartTimerAsync StartWorkflowAsync
CompleteWorkflowAsync FailWorkflowAsync GetCurrentState CallGetAsync CallDeleteAsync CallPostAsync CallPutAsync queryString headers
IPersistantStore StoreExistsAsync CreateStoreAsync LogStateAsync GetCurrentStateAsync SetStatus
RESTServiceBase Run GetScheduledActivityAsync SucceedActivityAsync FailActivityAsync AWSRESTService
RESTActivity TaskToken RESTConfig Url Method Headers Body QueryString RESTConnector SendAsync
OrchestrationContext GetCurrentContext GetStatus FindActivity LambdaContext
Constants LAMBDA_BIZ_DOMAIN LAMBDA_BIZ_WORKFLOW_TYPE LAMBDA_BIZ_TASK_LIST LAMBDA_BIZ_ACTIVITY_TYPE LAMBDA_BIZ_TYPE_VERSION
LAMBDA_BIZ_DYNAMODB_TABLE LAMBDA_BIZ_ORCHESTRATION_ID LAMBDA_BIZ_WF_ATTRIBUTES LAMBDA_BIZ_RECORD_MARKER_NAME LAMBDA_BIZ_EVENT
Workflow Activities Status OrchestrationId ReferenceToken ScheduledDateTime StartedDateTime SucceededDateTime FailedDateTime ToString
Activity Name ActivityType UniqueId ScheduledId FailureDetails Result TmedOutDateTime Task Timer Event
NONE STARTED SUCCEEDED FAILED TIMEOUT SCHEDULED`

// TestDocsHaveEveryNameOfTheOriginal looks for each in the left columns of the tables.
func TestDocsHaveEveryNameOfTheOriginal(t *testing.T) {
	t.Parallel()
	var left strings.Builder
	for line := range strings.Lines(page(t, "from-csharp.md")) {
		if cells := strings.Split(line, "|"); len(cells) > 2 {
			left.WriteString(cells[1] + "\n")
		}
	}
	for name := range strings.FieldsSeq(originalNames) {
		if !regexp.MustCompile(`\b` + name + `\b`).MatchString(left.String()) {
			t.Errorf("from-csharp.md has no row for %s", name)
		}
	}
}

// describe opens every home and returns what it says of itself.
func describe(t *testing.T) []lambdabiz.Description {
	t.Helper()
	var all []lambdabiz.Description
	for _, b := range []lambdabiz.Backend{openMemory(t), openSQLite(t), openSWF(t), openSWFWith(t, nil)} {
		all = append(all, b.Describe())
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// TestDocsSayWhatEachHomeRefuses compares the table of refusals with the backends.
func TestDocsSayWhatEachHomeRefuses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		homes := describe(t)
		features := map[lambdabiz.Feature]bool{}
		for i := range homes {
			for f := range homes[i].Refuses {
				features[f] = true
			}
		}
		var table strings.Builder
		for f := range features {
			row := "| " + string(f)
			for i := range homes {
				switch _, refused := homes[i].Refuses[f]; {
				case refused:
					row += " | refused"
				default:
					row += " | yes"
				}
			}
			if text := page(t, "backends.md"); !strings.Contains(text, row+" |\n") {
				t.Errorf("backends.md lacks the row\n%s |", row)
			}
			table.WriteString(row + " |\n")
		}
		for line := range strings.Lines(page(t, "backends.md")) {
			if strings.Contains(line, "| refused") && !strings.Contains(table.String(), line) {
				t.Errorf("backends.md has a row that is not so: %s", line)
			}
		}
	})
}

var (
	suiteRule  = regexp.MustCompile(`name:\s+"([a-z]+/[^"]+)"`)
	quotedRule = regexp.MustCompile("`(([a-z]+)(?:/[^`]*)?)`")
)

// TestDocsNameRulesOfBackends: each rule that the page for authors of backends names is one of the suite, and so is each group
// of rules; none is left out of its table.
func TestDocsNameRulesOfBackends(t *testing.T) {
	t.Parallel()
	rules, unnamed := map[string]bool{}, map[string]bool{} // names and groups
	for _, f := range goFiles(t) {
		if f.dir == "backendtest" && !f.test {
			for _, rule := range suiteRule.FindAllStringSubmatch(f.text, -1) {
				group, _, _ := strings.Cut(rule[1], "/")
				rules[rule[1]], rules[group], unnamed[group] = true, true, true
			}
		}
	}
	if len(rules) < 150 {
		t.Errorf("%d rules were found only", len(rules))
	}
	for line := range strings.Lines(page(t, "backends.md")) {
		for _, quoted := range quotedRule.FindAllStringSubmatch(line, -1) {
			if strings.HasPrefix(line, "|") && quoted[1] == quoted[2] {
				delete(unnamed, quoted[2])
			}
			if rules[quoted[2]] && !rules[quoted[1]] && !strings.HasSuffix(quoted[1], "/...") {
				t.Errorf("backends.md names the rule %q, which backendtest has not", quoted[1])
			}
		}
	}
	for group := range unnamed {
		t.Errorf("the table of methods in backends.md does not name the rules %s/...", group)
	}
}

// TestDocsCostsAddUp does the arithmetic of the costs again.
func TestDocsCostsAddUp(t *testing.T) {
	t.Parallel()
	const (
		gbSecond, request  = 0.0000133334, 0.20 / 1e6
		cpuHour, gbHour    = 0.03238, 0.00356
		memoryGB           = 0.25
		pulses             = 30 * 24 * 60
		run, task, kept    = 0.0001, 0.000025, 0.000005
		lambdas            = 5
		perMinuteMarkers   = 100
		idleSeconds, busy  = 60, 45 + 60
		driveSeconds       = 5 + 30 + 1
		historyDays        = 90
		tasksTimersSignals = lambdas + 1 + 1
	)
	text := strings.Join(strings.Fields(page(t, "aws.md")), " ")
	for what, want := range map[string]string{
		"an idle pulse":         fmt.Sprintf("%.2f idle", pulses*(idleSeconds*memoryGB*gbSecond+request)),
		"a busy pulse":          fmt.Sprintf("%.2f at most", pulses*(busy*memoryGB*gbSecond+request)),
		"drive":                 fmt.Sprintf("%.2f for 1,000 runs", 1000*(driveSeconds*memoryGB*gbSecond+2*request)),
		"process":               fmt.Sprintf("%.2f for a container", 720*(0.25*cpuHour+0.5*gbHour)),
		"a run":                 fmt.Sprintf("= %.6f dollars", run+tasksTimersSignals*task),
		"its history":           fmt.Sprintf("= %.5f for keeping", historyDays*kept),
		"the original's minute": fmt.Sprintf("= %.3f for each minute", 2*perMinuteMarkers*task),
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%s: aws.md does not say %q", what, want)
		}
	}
}

var (
	trackedBug = regexp.MustCompile(`(?m)^\| (\d+) \|.*\|$`)
	historyOf  = regexp.MustCompile(`Rows? \d[\d, and]*(?: of docs/proof/bugs\.md|:)`)
	reproduces = regexp.MustCompile("\\| `(?:cd ([a-z]+) && )?go test -run '\\^((?:Test|Fuzz)[A-Za-z0-9]+)\\$' (\\.(?:/[a-z0-9/]+)?)` \\|$")
)

// TestDocsTrackRecordCanBeRepeated: rows are numbered without a gap, and each command runs a test that is there; a row that the
// comment of a test names is one of that test.
func TestDocsTrackRecordCanBeRepeated(t *testing.T) {
	t.Parallel()
	known := map[string]bool{}
	history := map[string]string{} // of a test: what its comment says of rows
	for _, f := range goFiles(t) {
		for name, d := range testsOf(f) {
			known[f.dir+" "+name] = true
			history[f.dir+" "+name] = strings.Join(historyOf.FindAllString(d.Doc.Text(), -1), " ")
		}
	}
	rows := trackedBug.FindAllStringSubmatch(page(t, "proof/bugs.md"), -1)
	if trackedBug.MatchString(page(t, "reliability.md")) {
		t.Error("docs/reliability.md has rows of the track record: they stand in docs/proof/bugs.md, new ones at the end of its table")
	}
	if len(rows) < 40 {
		t.Errorf("there are %d rows only", len(rows))
	}
	for i, row := range rows {
		if row[1] != fmt.Sprint(i+1) {
			t.Errorf("row %d has the number %s", i+1, row[1])
		}
		command := reproduces.FindStringSubmatch(row[0])
		if command == nil {
			t.Errorf("row %s does not end with a command that runs one test: %s", row[1], row[0])
			continue
		}
		if dir := path.Join(command[1], command[3]); !known[dir+" "+command[2]] {
			t.Errorf("row %s: there is no test %s in %s", row[1], command[2], dir)
		} else {
			test := dir + " " + command[2]
			history[test] = regexp.MustCompile(`\b`+row[1]+`\b`).ReplaceAllString(history[test], "")
		}
	}
	for test, rows := range history {
		if number := regexp.MustCompile(`\d+`).FindString(rows); number != "" {
			t.Errorf("the comment of %s names row %s, whose command runs another test", test, number)
		}
	}
}

// testsOf are the tests and fuzz targets of a file, by name.
func testsOf(f *goFile) map[string]*ast.FuncDecl {
	tests := map[string]*ast.FuncDecl{}
	for _, decl := range f.ast.Decls {
		d, ok := decl.(*ast.FuncDecl)
		if ok && f.test && d.Recv == nil && (strings.HasPrefix(d.Name.Name, "Test") || strings.HasPrefix(d.Name.Name, "Fuzz")) {
			tests[d.Name.Name] = d
		}
	}
	return tests
}

// TestDocsNameEveryFaultTest: what reports a fault, every sabotage twin and every fuzz target has its place in the table.
func TestDocsNameEveryFaultTest(t *testing.T) {
	t.Parallel()
	text, n := page(t, "proof/attacks.md"), 0
	for _, f := range goFiles(t) {
		if f.dir == "test/campaign" || f.dir == "test/chaos" {
			continue
		}
		for name, d := range testsOf(f) {
			reports := false
			ast.Inspect(d, func(node ast.Node) bool {
				if call, ok := node.(*ast.SelectorExpr); ok && call.Sel.Name == "Report" {
					pkg, ok := call.X.(*ast.Ident)
					reports = reports || ok && pkg.Name == "campaign"
				}
				return true
			})
			if !reports && !strings.HasPrefix(name, "TestSabotage") && !strings.HasPrefix(name, "Fuzz") {
				continue
			}
			if n++; !strings.Contains(text, "`"+name+"`") {
				t.Errorf("docs/proof/attacks.md does not name %s of %s", name, f.path)
			}
		}
	}
	if n < 80 {
		t.Errorf("there are %d fault tests only", n)
	}
}

// TestDocsChangelogSaysEachThingOnce: before the first release nothing can have been changed or fixed for anybody, and no
// subject has two entries.
func TestDocsChangelogSaysEachThingOnce(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("CHANGELOG.md")
	if err != nil {
		t.Fatal(err)
	}
	released := regexp.MustCompile(`(?m)^## \[\d`).Match(text)
	for _, section := range []string{"Changed", "Deprecated", "Removed", "Fixed"} {
		if !released && strings.Contains(string(text), "\n### "+section+"\n") {
			t.Errorf("CHANGELOG.md has the section %q, and nothing is released: say in the entry of the thing under Added "+
				"how it is now; a bug has its row in the track record", section)
		}
	}
	entries := map[string]bool{}
	for line := range strings.Lines(string(text)) {
		switch subject := strings.Join(strings.Fields(line)[:min(5, len(strings.Fields(line)))], " "); {
		case strings.HasPrefix(line, "## ["):
			clear(entries)
		case !strings.HasPrefix(line, "- "):
		case entries[subject]:
			t.Errorf("CHANGELOG.md has two entries that begin with %q", subject)
		default:
			entries[subject] = true
		}
	}
	if len(entries) == 0 {
		t.Error("CHANGELOG.md has no entries")
	}
}

// TestDocsIndexHasEveryPage: what is not in the index is not found.
func TestDocsIndexHasEveryPage(t *testing.T) {
	t.Parallel()
	index := page(t, "README.md")
	for p := range texts(t, ".md") {
		name, inside := strings.CutPrefix(p, "docs/")
		if inside && name != "README.md" && !strings.Contains(index, "]("+name+")") {
			t.Errorf("docs/README.md does not lead to %s", name)
		}
	}
}

// TestDocsFirstCodeIsOfTheProgram: the README begins with a part of its whole program, which is compiled and run.
func TestDocsFirstCodeIsOfTheProgram(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := goBlock.FindAllStringSubmatch(string(text), -1)
	if len(blocks) != 2 || !strings.HasPrefix(blocks[1][1], "package main\n") || !strings.Contains(blocks[1][1], "\n"+blocks[0][1]) {
		t.Error("the README shall have two pieces of Go, and the second one, a whole program, shall have the first one in it")
	}
}
