package main

import (
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/spf13/pflag"
)

const (
	defaultBackend = "sqlite:lambdabiz.db"
	backendEnv     = "LAMBDABIZ_BACKEND"
	storeEnv       = "LAMBDABIZ_STORE"
)

// The kinds of targets.
const (
	kindSQLite   = "sqlite"
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
	"region":      "AWS region; the default is that of the environment or the profile",
	"profile":     "profile in the AWS configuration files",
	"endpoint":    "address in place of AWS's own, http://127.0.0.1:8000; that of --store if it stands alone",
	"retry-mode":  "how AWS calls are repeated, standard or adaptive",
	"task-list":   "task list on Amazon SWF; the default is lambdabiz",
	"lambda-role": "ARN of the role by which Amazon SWF invokes Lambda functions",
}

// optionsOf are the options that each kind of target may have.
var optionsOf = map[string][]string{
	kindSWF:      {"region", "profile", "endpoint", "retry-mode", "task-list", "lambda-role"},
	kindDynamoDB: {"region", "profile", "endpoint", "retry-mode", "create"},
}

func (t *targetFlags) register(f *pflag.FlagSet) {
	t.set, t.options = f, map[string]*string{}
	f.StringVar(&t.backend, "backend", defaultBackend, "where the orchestrations are, sqlite:FILE or "+
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
	name    string // a file, a domain, a table; empty for the default
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
	if all.backend, err = t.parse("backend", backend, "", kindSQLite, kindSWF); err != nil {
		return all, err
	}
	if stored == sourceNone || all.backend.kind == kindSQLite && stored < named {
		return all, nil
	}
	if all.backend.kind == kindSWF { // --endpoint is the backend's
		all.store, err = t.parse("store", store, "endpoint", kindDynamoDB, kindSQLite)
		return all, err
	}
	if named == stored {
		return all, usagef("--store is given with --backend %s, it stands beside swf:DOMAIN or alone", backend)
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
	kindSQLite: "sqlite:FILE", kindSWF: "swf:DOMAIN?OPTIONS", kindDynamoDB: "dynamodb:TABLE?OPTIONS",
}

// parse reads a target. Options that it leaves out are taken from the flags, but for the one named.
func (t *targetFlags) parse(flag, text, but string, kinds ...string) (*target, error) {
	kind, rest, found := strings.Cut(text, ":")
	if !found || !slices.Contains(kinds, kind) || kind == kindSQLite && rest == "" {
		return nil, usagef("--%s is %q, it must be %s or %s", flag, text, forms[kinds[0]], forms[kinds[1]])
	}
	p := &target{flag: "--" + flag, kind: kind, name: rest, options: map[string]string{}}
	if kind == kindSQLite { // a file may have any name
		return p, nil
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
