package main

import (
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"github.com/lambdabiz/lambdabiz/postgres"
)

const (
	defaultBackend = "sqlite:lambdabiz.db"
	backendEnv     = "LAMBDABIZ_BACKEND"
	storeEnv       = "LAMBDABIZ_STORE"
)

// The kinds of targets.
const (
	kindSQLite   = "sqlite"
	kindPostgres = "postgres"
	kindSWF      = "swf"
	kindDynamoDB = "dynamodb"
)

// targetFlags say where the orchestrations are.
type targetFlags struct {
	backend, store string
	options        map[string]*string // defaults of targets that leave an option out
	set            *pflag.FlagSet
}

// optionHelp are the options of targets that are flags too.
var optionHelp = map[string]string{
	"schema":      "schema of the tables on PostgreSQL; the default is lambdabiz",
	"region":      "AWS region; the default is that of the environment or the profile",
	"profile":     "profile in the AWS configuration files",
	"endpoint":    "address in place of AWS's own, http://127.0.0.1:8000; that of --store if it stands alone",
	"retry-mode":  "how AWS calls are repeated, standard or adaptive",
	"task-list":   "task list on Amazon SWF; the default is lambdabiz",
	"lambda-role": "ARN of the role by which Amazon SWF invokes Lambda functions",
}

// optionsOf are the options that each kind of target may have.
var optionsOf = map[string][]string{
	kindPostgres: {"schema"},
	kindSWF:      {"region", "profile", "endpoint", "retry-mode", "task-list", "lambda-role"},
	kindDynamoDB: {"region", "profile", "endpoint", "retry-mode", "create"},
}

func (t *targetFlags) register(f *pflag.FlagSet) {
	t.set, t.options = f, map[string]*string{}
	f.StringVar(&t.backend, "backend", defaultBackend, "where the orchestrations are, sqlite:FILE, postgres://URL or "+
		"swf:DOMAIN?OPTIONS; the environment variable "+backendEnv+" sets another default")
	f.StringVar(&t.store, "store", "", "the copy of their state beside Amazon SWF, dynamodb:TABLE?OPTIONS or "+
		"sqlite:FILE; without --backend it is read alone; also "+storeEnv)
	for name, help := range optionHelp {
		t.options[name] = f.String(name, "", help)
	}
}

// target is a parsed --backend or --store.
type target struct {
	flag    string // for messages
	kind    string
	name    string // a file, a URL, a domain, a table; empty for the default; a URL may have a password in it
	options map[string]string
}

// targets are where the orchestrations are: a backend, a store beside it, or a store alone.
type targets struct{ backend, store *target }

// resolve finds out what is meant. A flag counts more than an environment variable: --store goes before a
// backend that the environment names, unless that is one beside which a store can stand.
func (t *targetFlags) resolve() (targets, error) {
	backend, named := t.value("backend", t.backend, backendEnv)
	store, stored := t.value("store", t.store, storeEnv)
	var all targets
	var err error
	if all.backend, err = t.parse("backend", backend, "", kindSQLite, kindPostgres, kindSWF); err != nil {
		return all, err
	}
	if stored == sourceNone || all.backend.kind != kindSWF && stored < named {
		return all, nil
	}
	if all.backend.kind == kindSWF { // --endpoint is the backend's
		all.store, err = t.parse("store", store, "endpoint", kindDynamoDB, kindSQLite)
		return all, err
	}
	if named == stored {
		return all, usagef("--store is given with --backend %s, it stands beside swf:DOMAIN or alone", all.backend)
	}
	all.backend = nil
	all.store, err = t.parse("store", store, "", kindDynamoDB, kindSQLite)
	return all, err
}

// source says where a value comes from; the greater one counts more.
type source int

const (
	sourceNone source = iota
	sourceEnvironment
	sourceFlag
)

func (t *targetFlags) value(flag, value, variable string) (string, source) {
	if t.set.Changed(flag) {
		return value, sourceFlag
	}
	if v := os.Getenv(variable); v != "" {
		return v, sourceEnvironment
	}
	return value, sourceNone
}

// forms are how targets are written.
var forms = map[string]string{
	kindSQLite: "sqlite:FILE", kindPostgres: "postgres://URL", kindSWF: "swf:DOMAIN?OPTIONS", kindDynamoDB: "dynamodb:TABLE?OPTIONS",
}

// formsOf says how targets of the kinds are written: "sqlite:FILE, postgres://URL or swf:DOMAIN?OPTIONS".
func formsOf(kinds []string) string {
	all := make([]string, len(kinds))
	for i, kind := range kinds {
		all[i] = forms[kind]
	}
	last := len(all) - 1
	return strings.Join(all[:last], ", ") + " or " + all[last]
}

// String is the target for messages, without a password.
func (p *target) String() string {
	if p.kind == kindPostgres {
		return forms[kindPostgres]
	}
	return p.kind + ":" + p.name
}

// parse reads a target. Options that it leaves out are taken from the flags, but for the one named.
func (t *targetFlags) parse(flag, text, but string, kinds ...string) (*target, error) {
	kind, rest, found := strings.Cut(text, ":")
	if kind == "postgresql" {
		kind = kindPostgres
	}
	if !found || !slices.Contains(kinds, kind) || kind == kindSQLite && rest == "" ||
		kind == kindPostgres && !strings.HasPrefix(rest, "//") {
		given := strconv.Quote(text)
		if strings.Contains(text, "@") { // a URL that is misspelt
			given = "something else (not shown, as it may have a password)"
		}
		return nil, usagef("--%s is %s, it must be %s", flag, given, formsOf(kinds))
	}
	p := &target{flag: "--" + flag, kind: kind, name: rest, options: map[string]string{}}
	switch kind {
	case kindSQLite: // a file may have any name
		return p, nil
	case kindPostgres: // the other options are the driver's
		return p, p.takeOwn(*t.options["schema"])
	}
	name, query, _ := strings.Cut(rest, "?")
	values, err := url.ParseQuery(query)
	if err != nil {
		return nil, usagef("--%s: its options are not name=value&name=value", flag)
	}
	p.name = name
	for option, list := range values {
		if !slices.Contains(optionsOf[kind], option) || len(list) != 1 {
			return nil, usagef("--%s: option %q, expected are %s, once each", flag, option, strings.Join(optionsOf[kind], ", "))
		}
		p.options[option] = list[0]
	}
	for _, option := range optionsOf[kind] {
		if v := t.options[option]; v != nil && p.options[option] == "" && option != but {
			p.options[option] = *v
		}
	}
	return p, p.check()
}

var schemaName = regexp.MustCompile(`^[a-z_][a-z0-9_]{0,49}$`)

// takeOwn takes the options schema and portable out of a URL of PostgreSQL; the others are the driver's.
func (p *target) takeOwn(fallback string) error {
	p.options["schema"] = fallback
	address, query, _ := strings.Cut(p.name, "?")
	var others []string
	for option := range strings.SplitSeq(query, "&") {
		name, value, _ := strings.Cut(option, "=")
		switch {
		case name == "schema" || name == "portable":
			p.options[name] = value
		case option != "":
			others = append(others, option)
		}
	}
	if name := p.options["schema"]; name != "" && !schemaName.MatchString(name) {
		return usagef("%s: the schema is %q, it must have letters a to z, digits and underscores, the first no digit, 50 at most",
			p.flag, name)
	}
	if v := p.options["portable"]; v != "" && v != "true" && v != "false" {
		return usagef("%s: the option portable is %q, it must be true or false", p.flag, v)
	}
	p.name = "postgres:" + address
	if len(others) > 0 {
		p.name += "?" + strings.Join(others, "&")
	}
	return nil
}

// postgresConfig is what a URL of PostgreSQL says beside what is the driver's.
func (p *target) postgresConfig() postgres.Config {
	return postgres.Config{Schema: p.options["schema"], Portable: p.options["portable"] == "true"}
}

func (p *target) check() error {
	if e := p.options["endpoint"]; e != "" {
		u, err := url.Parse(e)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil {
			return usagef("%s: the endpoint must be http://HOST:PORT or https://HOST:PORT", p.flag)
		}
	}
	if c := p.options["create"]; c != "" && c != "true" && c != "false" {
		return usagef("%s: the option create is %q, it must be true or false", p.flag, c)
	}
	return nil
}
