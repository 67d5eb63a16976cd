# syntax=docker/dockerfile:1
# Nothing in the image can be started but Node: no shell, no package manager, no user but the one that Torwart runs as.

FROM node:22-bookworm-slim AS build
# Node 26 needs this library, which neither this image nor the final one has (nodejs/node#60790).
RUN apt-get update && apt-get install --yes --no-install-recommends libatomic1 && rm -rf /var/lib/apt/lists/*
WORKDIR /opt/torwart
# The pinned Node is a package: it comes with the others. The image's own Node only runs npm.
COPY package.json package-lock.json ./
RUN npm ci --omit=dev --no-audit --no-fund && node_modules/node/bin/node --version
COPY LICENSE ./
COPY src src
COPY deploy/docker/healthcheck.mjs deploy/docker/healthcheck.mjs
# Aside, at the path of this architecture.
RUN mkdir /image && cp --parents --dereference /usr/lib/*-linux-gnu/libatomic.so.1 /image

# The C and C++ runtime libraries that Node needs, and nothing else; uid 65532.
FROM gcr.io/distroless/cc-debian12:nonroot
LABEL org.opencontainers.image.title="Torwart" org.opencontainers.image.licenses="MIT"
COPY --from=build /image/ /
# Owned by root: the daemon cannot change its own code.
COPY --from=build /opt/torwart /opt/torwart
ENV NODE_ENV=production
WORKDIR /opt/torwart
USER 65532:65532
EXPOSE 8080 8443
STOPSIGNAL SIGTERM
# The flags are explained in docs/operations.md.
ENTRYPOINT ["/opt/torwart/node_modules/node/bin/node", "--v8-pool-size=0", "--permission", "--allow-net", "--allow-worker", "--allow-inspector", "--allow-fs-read=/opt/torwart", "--allow-fs-read=/etc/torwart", "--allow-fs-write=/var/log/torwart", "--allow-fs-read=/var/lib/torwart", "--allow-fs-write=/var/lib/torwart", "--allow-fs-read=/run/torwart", "--allow-fs-write=/run/torwart", "/opt/torwart/src/main.ts"]
CMD ["run", "--config", "/etc/torwart/torwart.yaml"]
HEALTHCHECK --interval=15s --timeout=5s --start-period=10s --retries=3 \
  CMD ["/opt/torwart/node_modules/node/bin/node", "/opt/torwart/deploy/docker/healthcheck.mjs"]
