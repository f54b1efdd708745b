package postgres

import (
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// ErrURL is wrapped by what [Open] and [CheckDatabase] say of a URL that cannot be read. The text has no part of the URL: a
// password may be where nobody expects one.
var ErrURL = errors.New("the URL of the database cannot be read")

// parse reads a URL. What it leaves out, the driver takes from the environment, as libpq does: PGHOST, PGPASSWORD, PGPASSFILE.
func parse(url string) (*pgxpool.Config, error) {
	if scheme, rest, found := strings.Cut(url, "://"); found {
		if scheme != "postgres" && scheme != "postgresql" {
			return nil, fmt.Errorf("%w: it must be postgres://USER:PASSWORD@HOST:PORT/DATABASE", ErrURL)
		}
		end := strings.IndexAny(rest, "/?#")
		if end < 0 {
			end = len(rest)
		}
		// A password with such a character would be read as something else, and be printed as that.
		if strings.Count(rest[:end], "@") > 1 || strings.Contains(rest[end:], "@") {
			return nil, fmt.Errorf("%w: write @ in it as %%40, and in a user or password / as %%2F, ? as %%3F, # as %%23", ErrURL)
		}
	}
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("%w: %s", ErrURL, withoutURL(err))
	}
	if config.ConnConfig.RuntimeParams["application_name"] == "" {
		config.ConnConfig.RuntimeParams["application_name"] = "lambdabiz"
	}
	return config, nil
}

// withoutURL is what the driver says of a URL, but for the URL.
func withoutURL(err error) string {
	text := err.Error()
	if _, ok := errors.AsType[*pgconn.ParseConfigError](err); ok {
		text = text[strings.LastIndexByte(text, '`')+1:]
	}
	return strings.TrimPrefix(text, ": ")
}

// explained adds what to do to what the server says. Errors that need no word stay as they are.
func explained(err error) error {
	if advice := adviceFor(err); advice != "" {
		return fmt.Errorf("%w: %s", err, advice)
	}
	return advised(err)
}

// adviceFor says what to do about an error that does not go away by itself.
func adviceFor(err error) string {
	switch code(err) {
	case "28P01", "28000": // invalid_password, invalid_authorization_specification
		return "check user and password (of the URL, PGPASSWORD or a pgpass file) and the server's pg_hba.conf"
	case "3D000": // invalid_catalog_name
		return "create the database, or name another one"
	case "42704": // undefined_object
		return "it stands in the URL, and neither the driver nor the server knows it"
	case "53300": // too_many_connections
		return "lower pool_max_conns in the URL, or raise max_connections"
	case "25006": // read_only_sql_transaction
		return "the server is a standby, or set to read only: name all servers, and add target_session_attrs=read-write to the URL"
	}
	if _, unreached := errors.AsType[*pgconn.ConnectError](err); unreached && code(err) == "" {
		return "check host and port, and whether the server runs and takes connections from here"
	}
	return ""
}
