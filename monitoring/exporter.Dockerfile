# An image of `sluice exporter` with your sluice.yaml, built from a checkout of Sluice:
#
#     docker build -f monitoring/exporter.Dockerfile --build-arg CONFIG=sluice.yaml -t sluice-exporter .
FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags "-s -w" -o /sluice ./cmd/sluice

# Nothing but certificates, time zones and a user that is not root.
FROM gcr.io/distroless/static-debian12:nonroot
ARG CONFIG=sluice.yaml
COPY --from=build /sluice /sluice
COPY ${CONFIG} /sluice.yaml
EXPOSE 9808
ENTRYPOINT ["/sluice", "--config", "/sluice.yaml"]
CMD ["exporter", "--listen", "0.0.0.0:9808"]
