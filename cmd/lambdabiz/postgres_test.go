package main

import (
	"context"
	"net/url"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/lambdabiz/lambdabiz/cmd/internal/demo"
	standin "github.com/lambdabiz/lambdabiz/internal/standins/postgres"
)

// onPostgres is a program on an empty database of a real server.
func onPostgres(t *testing.T) *cli {
	t.Helper()
	return &cli{t: t, backend: standin.Database(t)}
}

// database runs statements as the server's administrator.
func (c *cli) database(statements ...string) {
	c.t.Helper()
	conn, err := pgx.Connect(c.t.Context(), c.backend)
	if err != nil {
		c.t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(c.t.Context())) }()
	for _, s := range statements {
		if _, err := conn.Exec(c.t.Context(), s); err != nil {
			c.t.Fatalf("%s: %v", s, err)
		}
	}
}

// changed is the backend with a part of its URL changed.
func (c *cli) changed(change func(*url.URL)) string {
	c.t.Helper()
	u, err := url.Parse(c.backend)
	if err != nil {
		c.t.Fatal(err)
	}
	change(u)
	return u.String()
}

func TestDemoOnPostgresSurvivesAKill(t *testing.T) {
	t.Parallel()
	c := onPostgres(t)
	c.start("demo", "--timer", "100ms", "--kill-after", "Operation3").ends(-int(syscall.SIGKILL))
	before := c.show("Sequence3")
	text := c.start("demo", "--timer", "100ms").ends(exitOK)
	for _, op := range []string{"Operation1", "Operation2", "Operation3"} {
		if countLines(text, op, "recorded before") != 1 {
			t.Errorf("%s is not said to be recorded:\n%s", op, text)
		}
	}
	s, rest := c.show("Sequence3"), c.show("RESTSequence1")
	sameAsBefore(t, &before, &s)
	checkOperations(t, &s, demo.Operations[:7])
	checkOperations(t, &rest, demo.Operations[7:])
	if out := c.must("demo"); !strings.Contains(out, "nothing ran") {
		t.Errorf("a third demo prints %s", out)
	}
}

// Every command of a client does on PostgreSQL what it does on a file.
func TestClientCommandsOnPostgres(t *testing.T) {
	t.Parallel()
	c := onPostgres(t)
	p := c.waiting()
	if s := c.show("Sequence3"); s.Status != "STARTED" || len(s.WaitingFor) != 1 || s.WaitingFor[0].Kind != "EVENT" {
		t.Errorf("Sequence3 is %+v", s)
	}
	c.must("start", "Nobody", "n-1", `{"a":1}`, "--tag", "k=v")
	c.must("start", "Nobody", "n-2")
	if r := c.call("start", "Nobody", "n-2", "--on-used-id", "reject-existing"); r.code != exitConflict {
		t.Errorf("a second start: exit code %d, %s", r.code, r.errs)
	}
	for args, want := range map[string]string{
		"--name Nobody": "n-1 n-2", "--tag k=v": "n-1", "--prefix n-": "n-1 n-2", "--status SUCCEEDED": "",
		"--prefix n- --before 1h": "", "--prefix n- --after 1h": "n-1 n-2",
	} {
		if got := c.ids(strings.Fields(args)...); got != want {
			t.Errorf("list %s prints %q, want %q", args, got, want)
		}
	}
	c.must("raise", "n-1", "Go", "1", "--key", "once")
	c.must("raise", "n-1", "Go", "1", "--key", "once")
	events := c.show("n-1").Events
	if len(events) != 1 {
		t.Fatalf("n-1 has the events %+v", events)
	}
	c.must("drop", "n-1", "1")
	c.must("pause", "n-1", "--reason", "wait")
	c.must("pause", "--prefix", "n-")
	if s := c.show("n-1"); !s.Paused || len(s.Events) != 0 {
		t.Errorf("n-1 is %+v", s)
	}
	c.must("resume", "--all", "--dry-run")
	c.must("resume", "n-1")
	c.must("cancel", "n-1")
	c.must("terminate", "n-2")
	if s := c.show("n-2"); s.Status != "TERMINATED" {
		t.Errorf("n-2 is %s", s.Status)
	}
	c.must("purge", "--status", "TERMINATED")
	c.fails(exitNotFound, "not found", "show", "n-2")
	c.fails(exitNotFound, "not found", "raise", "none", "Go")
	if out := c.must("export"); strings.Count(out, "\n") != 3 {
		t.Errorf("export prints %s", out)
	}
	c.must("check")
	w := c.start("watch", "Sequence3", "--interval", "10ms")
	w.waitFor("Approve")
	c.must("resume", "RESTSequence1")
	p.ends(exitOK)
	w.ends(exitOK)
	if r := c.call("rest-worker"); r.code != exitError || !strings.Contains(r.errs, "postgres") {
		t.Errorf("rest-worker: exit code %d, %s", r.code, r.errs)
	}
}

// Commands that only ask leave no tables where a name is misspelt.
func TestReadingCreatesNoSchema(t *testing.T) {
	t.Parallel()
	c := onPostgres(t)
	for _, args := range []string{
		"list", "show a", "watch", "watch a", "export", "check", "raise a b", "cancel a", "terminate a", "pause a", "resume a",
		"drop a 1", "purge a",
	} {
		c.fails(exitError, "no tables of lambdabiz in schema lambdabiz", strings.Fields(args)...)
	}
	c.must("start", "Nobody", "n-1", "--schema", "orders")
	c.fails(exitError, "no tables of lambdabiz in schema lambdabiz", "list")
	if got := c.ids("--schema", "orders"); got != "n-1" {
		t.Errorf("the schema orders has %q", got)
	}
	c.backend += "&schema=orders"
	if got := c.ids(); got != "n-1" {
		t.Errorf("by the URL the schema orders has %q", got)
	}
}

func TestTheURLMayStandInTheEnvironment(t *testing.T) {
	t.Parallel()
	c := onPostgres(t)
	c.must("start", "Nobody", "n-1")
	password := ""
	without := c.changed(func(u *url.URL) {
		password, _ = u.User.Password()
		u.User = url.User(u.User.Username())
	})
	for _, env := range [][]string{{backendEnv + "=" + c.backend}, {backendEnv + "=" + without, "PGPASSWORD=" + password}} {
		cmd := command(t.Context(), "list", "-o", "json")
		cmd.Env = append(cmd.Env, env...)
		out, err := cmd.Output()
		if err != nil || !strings.Contains(string(out), `"n-1"`) {
			t.Errorf("list prints %s, %v", out, err)
		}
	}
}

// Each mistake is one line that says what to do, and has no password in it.
func TestDatabasesThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	c := onPostgres(t)
	good := c.backend
	c.must("start", "Nobody", "n-1")
	c.database(`CREATE ROLE "stranger-`+c.name()+`" LOGIN PASSWORD 'geheim'`,
		"CREATE SCHEMA newer", "CREATE TABLE newer.meta (version integer, minimum integer)", "INSERT INTO newer.meta VALUES (999, 998)")
	t.Cleanup(func() {
		c.backend = good
		conn, err := pgx.Connect(context.WithoutCancel(t.Context()), good)
		if err == nil {
			_, err = conn.Exec(context.WithoutCancel(t.Context()), `DROP ROLE "stranger-`+c.name()+`"`)
			_ = conn.Close(context.WithoutCancel(t.Context()))
		}
		if err != nil {
			t.Error(err)
		}
	})
	secret, _ := c.url().User.Password()
	as := func(user, password string) string {
		return c.changed(func(u *url.URL) { u.User = url.UserPassword(user, password) })
	}
	host := c.url().Host
	for backend, want := range map[string]struct {
		code  int
		words []string
	}{
		as("postgres", "gehe!m-wrong"):                         {exitError, []string{"authentication failed", "check user and password"}},
		as("nobody-here", secret):                              {exitError, []string{"check user and password"}},
		as("stranger-"+c.name(), "geheim"):                     {exitError, []string{"permission denied", "GRANT"}},
		c.changed(func(u *url.URL) { u.Path = "/none" }):       {exitError, []string{"does not exist", "create the database"}},
		c.changed(func(u *url.URL) { u.Host = "127.0.0.1:1" }): {exitError, []string{"refused", "check host and port"}},
		good + "&schema=none":                                  {exitError, []string{"no tables of lambdabiz in schema none"}},
		good + "&schema=newer":                                 {exitError, []string{"version 999 is newer than", "upgrade lambdabiz"}},
		good + "&schema=Or-ders":                               {exitUsage, []string{"letters a to z"}},
		good + "&shema=orders":                                 {exitError, []string{"shema", "stands in the URL"}},
		good + "&sslmode=maybe":                                {exitUsage, []string{"sslmode"}},
		good + "&pool_max_conns=many":                          {exitUsage, []string{"pool_max_conns"}},
		strings.Replace(good, host, "127.0.0.1:5x4", 1):        {exitUsage, []string{"invalid port"}},
		strings.Replace(good, "@", "@x@", 1):                   {exitUsage, []string{"%40"}},
		strings.Replace(good, "@", "/x@", 1):                   {exitUsage, []string{"%2F"}},
		strings.Replace(good, "postgres:", "postgress:", 1):    {exitUsage, []string{"it must be sqlite:FILE, postgres://URL"}},
		"postgres:orders":                                      {exitUsage, []string{"it must be sqlite:FILE, postgres://URL"}},
	} {
		c.backend = backend
		for _, args := range [][]string{{"list"}, {"doctor", "-o", "json"}, {"show", "n-1", "-v"}} {
			r := c.call(args...)
			if r.code != want.code && (args[0] != "doctor" || r.code != exitProblems) {
				t.Errorf("%s %v: exit code %d, want %d: %s", redacted(backend), args, r.code, want.code, r.errs)
			}
			all := r.out + r.errs
			for _, w := range want.words {
				if !strings.Contains(all, w) {
					t.Errorf("%s %v: %q is missing in %s", redacted(backend), args, w, all)
				}
			}
			for _, s := range []string{secret, "gehe!m", "gehe%21m", "geheim"} {
				if strings.Contains(all, s) {
					t.Errorf("%s %v: the password is shown: %s", redacted(backend), args, all)
				}
			}
			if args[0] == "list" && strings.Count(r.errs, "\n") != 1 {
				t.Errorf("%s: standard error is not one line: %q", redacted(backend), r.errs)
			}
		}
	}
	c.backend = good
	c.database("DROP TABLE lambdabiz.tags, lambdabiz.operations")
	c.fails(exitError, "something is missing in the schema: restore", "show", "n-1")
	c.fails(exitProblems, "does not work", "doctor")
}

func redacted(backend string) string {
	if u, err := url.Parse(backend); err == nil {
		return u.Redacted()
	}
	return backend
}

func (c *cli) url() *url.URL {
	c.t.Helper()
	u, err := url.Parse(c.backend)
	if err != nil {
		c.t.Fatal(err)
	}
	return u
}

// name is that of the database, which no other test has.
func (c *cli) name() string { return strings.TrimPrefix(c.url().Path, "/") }

// checked is what doctor says, by the name of the check.
func (c *cli) checked(code int, args ...string) (diagnosis, map[string]check) {
	c.t.Helper()
	r := c.call(append([]string{"doctor", "--grace", "0s", "-o", "json"}, args...)...)
	if r.code != code {
		c.t.Errorf("exit code %d, want %d: %s %s", r.code, code, r.out, r.errs)
	}
	d := decode[diagnosis](c.t, r.out)
	all := map[string]check{}
	for _, k := range d.Checks {
		all[k.Name] = k
	}
	return d, all
}

func TestDoctorOnPostgres(t *testing.T) {
	t.Parallel()
	c := onPostgres(t)
	if _, checks := c.checked(exitProblems); !strings.Contains(checks["schema"].Problem, "the first worker or start creates them") {
		t.Errorf("of an empty database it says %+v", checks)
	}
	p := c.waiting()
	d, checks := c.checked(exitOK)
	if len(d.Problems) != 0 || len(d.Workers) != 1 || d.Open != 2 {
		t.Errorf("of one that works it says %+v", d)
	}
	for _, name := range []string{
		"connection", "server", "schema", "tables", "rights", "settings", "standby", "snapshots", "vacuum", "inbox",
	} {
		if k, found := checks[name]; !found || k.Problem != "" || k.Detail == "" {
			t.Errorf("%s: %+v", name, k)
		}
	}
	if !strings.Contains(checks["settings"].Warning, "fsync is off") { // so is that of the tests
		t.Errorf("the settings are %+v", checks["settings"])
	}
	if out := c.must("doctor"); !strings.Contains(out, "WARNING: fsync is off") ||
		!strings.Contains(out, "2 open (1 paused), 1 live workers: all have a reason to wake") {
		t.Errorf("doctor prints %s", out)
	}

	c.must("start", "Nobody", "n-1")
	c.database("DROP INDEX lambdabiz.runs_due",
		"UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'lambdabiz.runs_status'::regclass",
		"ALTER DATABASE "+c.name()+" SET synchronous_commit = off", "ALTER DATABASE "+c.name()+" SET statement_timeout = 4900")
	holder, err := pgx.Connect(t.Context(), c.backend)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = holder.Close(context.WithoutCancel(t.Context())) }()
	for _, s := range []string{"SET application_name = 'report'", "BEGIN ISOLATION LEVEL REPEATABLE READ", "SELECT 1"} {
		if _, err := holder.Exec(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	d, checks = c.checked(exitProblems)
	if !strings.Contains(checks["tables"].Problem, "missing indexes: runs_due") {
		t.Errorf("the tables are %+v", checks["tables"])
	}
	if w := checks["settings"].Warning; !containsAll(w, []string{"synchronous_commit is off", "statement_timeout is 4.9s"}) {
		t.Errorf("the settings are %+v", checks["settings"])
	}
	if s := checks["snapshots"].Detail; !strings.Contains(s, "report, idle in transaction") {
		t.Errorf("the snapshots are %q", s)
	}
	if len(d.Unserved) != 1 || d.Unserved[0] != (unserved{"Nobody", 1}) {
		t.Errorf("unserved are %+v", d.Unserved)
	}
	c.database("CREATE INDEX runs_due ON lambdabiz.runs (name, due_at, no) WHERE due_at IS NOT NULL AND owner = 0")
	if _, checks = c.checked(exitProblems); !strings.Contains(checks["tables"].Problem, "REINDEX INDEX CONCURRENTLY them") ||
		!strings.Contains(checks["tables"].Problem, "runs_status") {
		t.Errorf("the tables are %+v", checks["tables"])
	}
	c.must("resume", "RESTSequence1")
	p.ends(exitOK)
}

// A database does not know whose process is gone: doctor looks whether the beats move.
func TestDoctorOnPostgresSeesAWorkerThatStandsStill(t *testing.T) {
	t.Parallel()
	c := onPostgres(t)
	p := c.waiting()
	p.signal(syscall.SIGKILL)
	p.end()
	d, _ := c.checked(exitProblems)
	kinds := []string{}
	for _, found := range d.Problems {
		kinds = append(kinds, found.Kind)
	}
	if !slices.Contains(kinds, problemSilent) {
		t.Errorf("the problems are %+v", d.Problems)
	}
}

// The orchestrations cannot be read: what was found about the database may say why, and is not lost.
func TestDoctorOnPostgresSaysWhatItHasFoundAllTheSame(t *testing.T) {
	t.Parallel()
	c := onPostgres(t)
	c.must("start", "Nobody", "n-1")
	c.database("ALTER DATABASE " + c.name() + " SET statement_timeout = 1500")
	holder, err := pgx.Connect(t.Context(), c.backend)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = holder.Close(context.WithoutCancel(t.Context())) }()
	if _, err := holder.Exec(t.Context(), "BEGIN; LOCK TABLE lambdabiz.workers IN ACCESS EXCLUSIVE MODE"); err != nil {
		t.Fatal(err)
	}
	_, checks := c.checked(exitProblems)
	if !strings.Contains(checks["orchestrations"].Problem, "statement timeout") ||
		!strings.Contains(checks["settings"].Warning, "statement_timeout is 1.5s") {
		t.Errorf("it says %+v", checks)
	}
}

// Who may only read sees orchestrations, and doctor says what is missing for more.
func TestARoleThatMayOnlyRead(t *testing.T) {
	t.Parallel()
	c := onPostgres(t)
	c.must("start", "Nobody", "n-1")
	role := `"reader-` + c.name() + `"`
	c.database("CREATE ROLE "+role+" LOGIN PASSWORD 'geheim'", "GRANT USAGE ON SCHEMA lambdabiz TO "+role,
		"GRANT SELECT ON ALL TABLES IN SCHEMA lambdabiz TO "+role)
	admin := *c
	t.Cleanup(func() {
		conn, err := pgx.Connect(context.WithoutCancel(t.Context()), admin.backend)
		if err != nil {
			t.Error(err)
			return
		}
		defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
		for _, s := range []string{"DROP OWNED BY " + role, "DROP ROLE " + role} {
			if _, err := conn.Exec(context.WithoutCancel(t.Context()), s); err != nil {
				t.Errorf("%s: %v", s, err)
			}
		}
	})
	c.backend = c.changed(func(u *url.URL) { u.User = url.UserPassword(strings.Trim(role, `"`), "geheim") })
	if got := c.ids(); got != "n-1" {
		t.Errorf("list prints %q", got)
	}
	if s := c.show("n-1"); s.Status != "SCHEDULED" {
		t.Errorf("n-1 is %+v", s)
	}
	c.fails(exitError, "GRANT", "raise", "n-1", "Go")
	if _, checks := c.checked(exitProblems); !strings.Contains(checks["rights"].Problem, "INSERT on") ||
		strings.Contains(checks["rights"].Problem, "SELECT on") {
		t.Errorf("the rights are %+v", checks["rights"])
	}
	admin.database("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA lambdabiz TO " + role)
	c.must("raise", "n-1", "Go") // and to work needs no more
	c.must("demo", "--timer", "0")
}
