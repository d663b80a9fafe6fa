#!/bin/bash
# The service of Podman takes a whole processor for as long as somebody waits for a
# container by Docker's API, and nothing for the same wait by Podman's own.
#
# Package:   podman 4.3.1+ds1-8+deb12u1+b3 of Debian 12, with its conmon, runc and
#            configuration; busybox-static is the container's program. Runs as root.
# Expected:  POST /containers/ID/wait waits for an event, as Docker's engine does, or
#            at least pauses between two looks.
# Behaviour: behind Docker's API it looks again after a nanosecond, and has no parameter
#            for that. POST /libpod/containers/ID/wait takes an interval, 250ms by
#            default. Who starts tasks by Docker's API and waits for their end pays
#            a processor for each local service that way.
# Source:    pkg/api/handlers/utils/containers.go of v4.3.1 (WaitContainerDocker).
# Seen:      "behind Docker's API: 313 of 400 hundredths of a second; behind Podman's: 1"
set -eu
dir=$(mktemp -d)
cd "$dir"
mkdir debs root run
(cd debs && apt-get download -qq podman=4.3.1+ds1-8+deb12u1+b3 conmon=2.1.6+ds1-1 runc=1.1.5+ds1-1+deb12u1 \
  busybox-static=1:1.35.0-4+deb12u1+b1 golang-github-containers-common=0.50.1+ds1-4 golang-github-containers-image=5.23.1-4)
for deb in debs/*.deb; do dpkg-deb -x "$deb" system; done
printf '[engine]\nconmon_path=["%s"]\nruntime="runc"\ncgroup_manager="cgroupfs"\nevents_logger="none"\n[engine.runtimes]\nrunc=["%s"]\n' \
  "$dir/system/usr/bin/conmon" "$dir/system/usr/sbin/runc" > containers.conf
printf '[storage]\ndriver="vfs"\nrunroot="%s"\ngraphroot="%s"\n' "$dir/run" "$dir/root" > storage.conf
printf '{"default":[{"type":"insecureAcceptAnything"}]}' > policy.json
export CONTAINERS_CONF="$dir/containers.conf" CONTAINERS_STORAGE_CONF="$dir/storage.conf"
podman() { "$dir/system/usr/bin/podman" "$@"; }
"$dir/system/usr/bin/podman" system service --time=0 "unix://$dir/engine.sock" 2> service.log &
service=$!
trap 'kill $service; podman rm -f -t 0 sleeper >/dev/null 2>&1 || true; rm -rf "$dir"' EXIT
mkdir -p image/bin
cp system/bin/busybox image/bin/sleep
tar -C image -c . | podman import -q - local/sleeper > /dev/null
podman run -d --name sleeper --network none --ulimit nproc=1024:1024 --ulimit nofile=1024:1024 local/sleeper /bin/sleep 1000 > /dev/null
ticks() { sed 's/.*) //' "/proc/$service/stat" | awk '{print $12 + $13}'; }
during() { # path: the processor time that the service uses in four seconds of a wait
  curl -s -X POST --unix-socket engine.sock "http://engine$1" > /dev/null &
  wait=$!
  sleep 1
  before=$(ticks)
  sleep 4
  echo $(($(ticks) - before))
  kill $wait
}
docker=$(during /v1.41/containers/sleeper/wait)
podman stop -t 0 sleeper > /dev/null # ends the wait in the service, which goes on without its client
podman start sleeper > /dev/null
own=$(during /v4.0.0/libpod/containers/sleeper/wait)
echo "behind Docker's API: $docker of 400 hundredths of a second; behind Podman's: $own"
if [ "$docker" -lt 40 ] || [ $((own * 5)) -gt "$docker" ]; then # on a busy machine it gets less
  echo "the behaviour has changed: a busy wait behind Docker's API alone was expected"
  exit 1
fi
