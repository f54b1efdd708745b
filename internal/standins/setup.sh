#!/usr/bin/env bash
# Installs what the tests run against into .standins/ at the root of the repository:
#   python/    a virtual environment with moto and cfn-lint (requirements.txt)
#   dynalite/  dynalite, which plays DynamoDB, with what it needs (package.json, package-lock.json)
#   postgres/  PostgreSQL of two major versions (postgres/package.json, postgres/package-lock.json)
# and on Debian, where that is allowed, PostgreSQL's own packages and PgBouncer. A stamp holds the checksum of what each was
# made from: nothing is done twice. pip and npm fetch, as the user has configured them. What cannot be installed is named in
# one line, and its tests skip; with CI=true that is a failure.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
target=$root/.standins
log=$target/setup.log
ci=false
[ "${CI:-}" = true ] && ci=true
failed=false

checksum() { cat "$@" | cksum; }

# current NAME CHECKSUM: is it installed from just these files?
current() { [ -f "$target/$1.stamp" ] && [ "$(cat "$target/$1.stamp")" = "$2" ]; }

# missing WHAT WHY: the one line about a stand-in that is not there.
missing() {
	if $ci; then
		[ ! -s "$log" ] || tail -n 30 "$log" >&2
		echo "stand-in missing: $1: $2" >&2
		failed=true
	else
		echo "stand-in missing, so its tests are skipped: $1: $2, then run make standins" >&2
	fi
}

# fetch COMMAND...: runs what fetches from a network, which may fail for a moment: in continuous integration three times.
fetch() {
	for pause in $($ci && echo 5 20); do
		if "$@" >>"$log" 2>&1; then return; fi
		echo "that failed; again in $pause s: $*" >>"$log"
		sleep "$pause"
	done
	"$@" >>"$log" 2>&1
}

# install_packages PACKAGE...: in continuous integration fetch what the machine lacks.
install_packages() {
	$ci && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1 || return 0
	echo "installing $*"
	fetch apt-get update -q && DEBIAN_FRONTEND=noninteractive fetch apt-get install -q -y --no-install-recommends "$@" || true
}

# install_services PACKAGE...: fetch what is a package of Debian, on any machine where this is root, or may be by sudo.
install_services() {
	local sudo=
	command -v apt-get >/dev/null 2>&1 || return 0
	if [ "$(id -u)" != 0 ]; then
		sudo -n true >/dev/null 2>&1 || return 0
		sudo="sudo -n"
	fi
	echo "installing $*"
	fetch $sudo apt-get update -q &&
		fetch $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "$@" || true
}

have_server() { ls /usr/lib/postgresql/*/bin/pg_basebackup || { command -v postgres && command -v pg_basebackup; }; } >/dev/null 2>&1
have_pgbouncer() { command -v pgbouncer || [ -x /usr/sbin/pgbouncer ]; } >/dev/null 2>&1
have_python() { command -v python3 && python3 -c 'import ensurepip, venv'; } >>"$log" 2>&1
have_node() { command -v npm && node -e 'process.exit(parseInt(process.versions.node) < 18 ? 1 : 0)'; } >>"$log" 2>&1

setup_python() {
	local sum
	sum=$(checksum "$here/requirements.txt")
	if current python "$sum" && [ -x "$target/python/bin/python" ]; then return; fi
	start_log
	have_python || install_packages python3 python3-venv
	if ! have_python; then
		missing "moto and cfn-lint" "install Python 3.10 or newer with its venv module"
		return
	fi
	echo "installing moto and cfn-lint into .standins/python"
	rm -rf "$target/python" "$target/python.stamp"
	if ! python3 -m venv "$target/python" >>"$log" 2>&1 ||
		! fetch "$target/python/bin/python" -m pip install -q --disable-pip-version-check -r "$here/requirements.txt"; then
		missing "moto and cfn-lint" "pip could not fetch them; see .standins/setup.log"
		return
	fi
	if ! "$target/python/bin/python" "$here/moto_loopback.py" </dev/null >>"$log" 2>&1; then
		missing "moto and cfn-lint" "moto does not start; see .standins/setup.log"
		return
	fi
	echo "$sum" >"$target/python.stamp"
}

setup_dynalite() {
	local sum
	sum=$(checksum "$here/package.json" "$here/package-lock.json" "$here/dynalite_loopback.cjs")
	if current dynalite "$sum"; then return; fi
	start_log
	have_node || install_packages nodejs npm
	if ! have_node; then
		missing "dynalite" "install Node.js 18 or newer with npm"
		return
	fi
	echo "installing dynalite into .standins/dynalite"
	rm -rf "$target/dynalite" "$target/dynalite.stamp"
	mkdir -p "$target/dynalite"
	cp "$here/package.json" "$here/package-lock.json" "$target/dynalite/"
	if ! fetch npm ci --prefix "$target/dynalite" --ignore-scripts --no-audit --no-fund; then
		missing "dynalite" "npm could not fetch it; see .standins/setup.log"
		return
	fi
	if ! node "$here/dynalite_loopback.cjs" "$target/dynalite" </dev/null >>"$log" 2>&1; then
		missing "dynalite" "it does not start on this machine; see .standins/setup.log"
		return
	fi
	echo "$sum" >"$target/dynalite.stamp"
}

# setup_services looks for what faults are tried on.
setup_services() {
	local wanted=()
	if [ -n "${LAMBDABIZ_TEST_POSTGRES:-}" ] && ! $ci; then return; fi
	have_server || wanted+=(postgresql)
	have_pgbouncer || wanted+=(pgbouncer)
	[ ${#wanted[@]} -gt 0 ] || return 0
	start_log
	install_services "${wanted[@]}"
	have_server || missing "PostgreSQL with pg_basebackup" "install postgresql"
	have_pgbouncer || missing "PgBouncer" "install pgbouncer"
}

# setup_postgres brings servers that need no installation, of the oldest version that is supported and of a new one.
setup_postgres() {
	local sum link platform version
	sum=$(checksum "$here/postgres/package.json" "$here/postgres/package-lock.json")
	if current postgres "$sum"; then return; fi
	start_log
	have_node || install_packages nodejs npm
	if ! have_node; then
		missing "PostgreSQL 14 and 18" "install Node.js 18 or newer with npm"
		return
	fi
	echo "installing PostgreSQL 14 and 18 into .standins/postgres"
	rm -rf "$target/postgres" "$target/postgres.stamp"
	mkdir -p "$target/postgres"
	cp "$here/postgres/package.json" "$here/postgres/package-lock.json" "$target/postgres/"
	if ! fetch npm ci --prefix "$target/postgres" --ignore-scripts --no-audit --no-fund; then
		missing "PostgreSQL 14 and 18" "npm could not fetch them; see .standins/setup.log"
		return
	fi
	link='for (const { source, target } of JSON.parse(fs.readFileSync("native/pg-symlinks.json", "utf8")))
		fs.symlinkSync(path.relative(path.dirname(target), source), target)'
	platform=$(node -p 'process.platform + "-" + process.arch')
	for version in 14 18; do
		if ! grep -q "\"$version-$platform\"" "$here/postgres/package.json"; then
			missing "PostgreSQL $version" "npm has none for $platform"
		elif ! (cd "$target/postgres/node_modules/$version-$platform" && node -e "$link" && native/bin/postgres --version) >>"$log" 2>&1; then
			# npm skips in silence what is optional and cannot be fetched, or has another checksum.
			missing "PostgreSQL $version" "npm could not fetch it, or it does not run on this machine; see .standins/setup.log"
			sum=
		fi
	done
	[ -z "$sum" ] || echo "$sum" >"$target/postgres.stamp"
}

# start_log begins a new log, once a run.
start_log() {
	[ -z "${logging:-}" ] || return 0
	logging=yes
	mkdir -p "$target"
	: >"$log"
}

setup_python
setup_dynalite
setup_services
setup_postgres
! $failed
