# The image that `bookctl up` builds by itself, for those who prefer Docker:
#
#   docker build -t REGISTRY/bookapi:1 . && docker push REGISTRY/bookapi:1
#   bookctl up --image REGISTRY/bookapi:1
#
# A test builds it and compares it with bookctl's own.
FROM --platform=$BUILDPLATFORM docker.io/library/golang:1.26.10-bookworm AS build
ARG TARGETARCH
ARG VERSION=dev
WORKDIR /src
COPY . .
ENV CGO_ENABLED=0 GOOS=linux GOARCH=$TARGETARCH GOAMD64=v1 GOARM64=v8.0 \
    GOFLAGS="-trimpath -buildvcs=false -mod=readonly '-ldflags=-s -w -X=main.version=$VERSION'"
RUN ["/usr/local/go/bin/go", "build", "-o", "/out/bookapi", "./cmd/bookapi"]

# Nothing but the program and what it reads: no shell, nothing to write to. It
# runs with a read-only root.
FROM scratch
COPY internal/image/data/passwd internal/image/data/group /etc/
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY internal/image/data/rds-global-bundle.pem /etc/ssl/certs/
COPY --from=build /out/bookapi /bookapi
ENV PATH=/ PORT=8080
WORKDIR /
USER 65532:65532
EXPOSE 8080
STOPSIGNAL SIGTERM
# How bookctl runs it; see docs/containers.md.
LABEL io.github.bookctl.health-path=/startupz io.github.bookctl.health-status=200 io.github.bookctl.health-grace=30 \
      io.github.bookctl.read-only-root=true io.github.bookctl.db-name=books io.github.bookctl.db-user=bookapi \
      io.github.bookctl.locates-database=true io.github.bookctl.ready-path=/readyz io.github.bookctl.drain=10 io.github.bookctl.listens-on-port=true \
      io.github.bookctl.database-authority=/etc/ssl/certs/rds-global-bundle.pem
HEALTHCHECK --interval=5s --timeout=3s --retries=3 CMD ["/bookapi", "-healthcheck"]
ENTRYPOINT ["/bookapi"]
