#!/usr/bin/env bash
# Compares the Go benchmarks of a commit with those of the working tree, in turns, by benchstat.
# usage: bench/compare.sh COMMIT [ROUNDS [PATTERN]]
set -eu
cd "$(dirname "$0")/.."
base=$1 rounds=${2:-6} pattern=${3:-.}
packages=". ./sqlite"
dir=$(mktemp -d)
trap 'git worktree remove --force "$dir/base" 2>/dev/null || true; rm -rf "$dir"' EXIT
git worktree add -q --detach "$dir/base" "$base"
for package in $packages; do
	name=$(basename "$(cd "$package" && pwd)")
	(cd "$dir/base" && go test -c -o "$dir/$name.old" "$package")
	go test -c -o "$dir/$name.new" "$package"
done
for round in $(seq "$rounds"); do
	for package in $packages; do
		name=$(basename "$(cd "$package" && pwd)")
		for side in old new; do
			echo "round $round of $rounds: $name, $side" >&2
			(cd "$package" && "$dir/$name.$side" -test.run '^$' -test.bench "$pattern" -test.benchmem -test.benchtime 300ms \
				>>"$dir/$side.txt" 2>/dev/null)
		done
	done
done
go tool -modfile=tools/go.mod benchstat "$dir/old.txt" "$dir/new.txt"
