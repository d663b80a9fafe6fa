#!/bin/sh
# A Go program that is linked with -s -w still has what a debugger reads compiled into each
# package, which takes a fifth of the compiler's time; another flag spares it.
#
# Package:   Go 1.26.8 with github.com/aws/aws-sdk-go-v2/service/sqs v1.48.1
# Expected:  -ldflags="-s -w", which leaves out the symbols and DWARF, spares making them.
# Behaviour: the flag is the linker's alone. The compiled packages are those of any other
#            build, more than a quarter of them DWARF. -gcflags=-dwarf=false, which only
#            "go tool compile -h" names, leaves it out. For the SDK's ec2 (v1.344.2) that is
#            98 MB in 48 s of processor time instead of 144 MB in 59 s, and with -l, for a
#            package of which nothing is ever hot, 77 MB in 29 s. The cache keeps packages
#            by their flags, so a pattern before the = should name large dependencies only.
# Source:    "go help build" (-ldflags are "arguments to pass on each go tool link
#            invocation") and "go tool compile -h"; the times are measured on two cores.
# Seen:      plain 5251678, -dwarf=false 3742650, with -l 3155552; the same file with
#            -ldflags: yes
set -eu
dir=$(mktemp -d)
trap 'chmod -R u+w "$dir"; rm -rf "$dir"' EXIT
cd "$dir"
export GOPATH="$dir/go" GOCACHE="$dir/cache" GOFLAGS=-mod=mod GOWORK=off CGO_ENABLED=0
package=github.com/aws/aws-sdk-go-v2/service/sqs
cat > go.mod <<'MOD'
module finding

go 1.26
MOD
cat > main.go <<GO
package main

import "$package"

func main() { println(sqs.New(sqs.Options{}) != nil) }
GO
go get $package@v1.48.1
compiled() { go list -export -f '{{.Export}}' "$@" $package; }
size() { wc -c <"$1"; }
plain=$(compiled)
linked=$(compiled '-ldflags=-s -w')
none=$(compiled -gcflags=-dwarf=false)
small=$(compiled '-gcflags=-l -dwarf=false')
echo "plain $(size "$plain"), -dwarf=false $(size "$none"), with -l $(size "$small"); the same file with -ldflags: $([ "$plain" = "$linked" ] && echo yes || echo no)"
if [ "$plain" != "$linked" ] || [ $(($(size "$none") * 100)) -gt $(($(size "$plain") * 80)) ] || [ "$(size "$small")" -gt "$(size "$none")" ]; then
  echo "the behaviour has changed" >&2
  exit 1
fi
