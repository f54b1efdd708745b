#!/usr/bin/env bash
# Installs the stand-ins for AWS that the tests use into .standins/ at the root of the repository:
#   python/    a virtual environment with moto and cfn-lint (requirements.txt)
#   dynamodb/  DynamoDB Local with what it needs (pom.xml), and the class that keeps it on loopback
# A stamp holds the checksum of what each was made from: nothing is done twice. pip and Maven fetch,
# as the user has configured them. What cannot be installed is named in one line, and its tests skip;
# with CI=true that is a failure.
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

have_python() { command -v python3 && python3 -c 'import ensurepip, venv'; } >>"$log" 2>&1
have_java() { command -v java && command -v javac && command -v mvn; } >>"$log" 2>&1

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

setup_dynamodb() {
	local sum
	sum=$(checksum "$here/pom.xml" "$here/Loopback.java")
	if current dynamodb "$sum"; then return; fi
	start_log
	have_java || install_packages default-jdk-headless maven
	if ! have_java; then
		missing "DynamoDB Local" "install a Java development kit (17 or newer) and Maven"
		return
	fi
	echo "installing DynamoDB Local into .standins/dynamodb"
	rm -rf "$target/dynamodb" "$target/dynamodb.stamp"
	mkdir -p "$target/dynamodb"
	if ! fetch mvn -B -q -f "$here/pom.xml" dependency:copy-dependencies -DincludeScope=runtime \
		"-DoutputDirectory=$target/dynamodb"; then
		missing "DynamoDB Local" "Maven could not fetch it; see .standins/setup.log"
		return
	fi
	if ! javac -cp "$target/dynamodb/*" -d "$target/dynamodb/classes" "$here/Loopback.java" >>"$log" 2>&1; then
		missing "DynamoDB Local" "its starter does not compile (is this Java 17 or newer?); see .standins/setup.log"
		return
	fi
	if ! java "-Djava.library.path=$target/dynamodb" -cp "$target/dynamodb/classes:$target/dynamodb/*" \
		Loopback </dev/null >>"$log" 2>&1; then
		missing "DynamoDB Local" "it does not start on this machine; see .standins/setup.log"
		return
	fi
	echo "$sum" >"$target/dynamodb.stamp"
}

# start_log begins a new log, once a run.
start_log() {
	[ -z "${logging:-}" ] || return 0
	logging=yes
	mkdir -p "$target"
	: >"$log"
}

setup_python
setup_dynamodb
! $failed
