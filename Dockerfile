# The server and the project's own site in one image: nothing else is in it.
FROM rust:1.95.0-bookworm AS build
WORKDIR /kiln
COPY . .
ARG SOURCE_DATE_EPOCH
ENV CARGO_TARGET_DIR=/target
# `--target` keeps the flags away from build scripts and macros.
RUN host="$(rustc -vV | sed -n 's/^host: //p')" \
 && RUSTFLAGS="-C target-feature=+crt-static" cargo build --release --locked --target "$host" --bin kiln --bin kilnd \
 && mv "/target/$host/release/kiln" "/target/$host/release/kilnd" / \
 && /kiln build --site . --out /dist

FROM scratch
COPY --from=build /kilnd /kilnd
COPY --from=build /dist/site.bundle /site.bundle
USER 65534:65534
EXPOSE 8080
ENTRYPOINT ["/kilnd", "/site.bundle", "--listen", "0.0.0.0:8080"]
