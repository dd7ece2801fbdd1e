# The scan platform. Built from the repository's root: see compose.yml.
FROM rust:1.89-bookworm AS build
WORKDIR /src
COPY . .
RUN cargo build --release --locked --package scan-platform

FROM debian:12.11-slim
COPY --from=build /src/target/release/scan-platform /usr/local/bin/scan-platform
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/scan-platform"]
