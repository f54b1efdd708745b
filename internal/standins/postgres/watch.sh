# watch.sh FOLDER SIGNAL COMMAND...: runs a server, and ends it when the test binary is gone.
# Standard input is a pipe whose other end only the test binary holds. A line on it says that the server has ended, and
# that the binary cleans up by itself. Its end says that the binary was killed: then the server ends by SIGNAL, and the
# folder goes. The output is the server's; it closes when the last process of the server ends.
trap '' HUP INT TERM
folder=$1
signal=$2
shift 2
"$@" </dev/null 2>&1 &
server=$!
echo "pid $server"
exec >/dev/null 2>&1
if ! read -r _; then
	kill -CONT "$server"
	kill "-$signal" "$server"
	wait "$server"
	rm -rf "$folder"
fi
# It has closed its output before it is over, and until then its number is taken.
wait "$server"
