# Troupe in an image. Untested: no image registry is reachable where this project's tests run.
#
#   docker build -t troupe .
#   docker run --init -e TROUPE_TOKEN=… -p 50051:50051 -p 8000:8000 -v troupe:/var/lib/troupe troupe
#
# Off loopback every caller has to show the token, so TROUPE_TOKEN is needed here. Container actors need the host's
# Docker socket, which is as good as root there: mount it only if you use them.

FROM node:24-bookworm-slim AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --include=optional
COPY . .
RUN npm run build && npm prune --omit=dev

FROM node:24-bookworm-slim
WORKDIR /app
ENV NODE_ENV=production \
    TROUPE_DATA_DIR=/var/lib/troupe \
    TROUPE_GRPC_ADDR=0.0.0.0:50051 \
    TROUPE_HTTP_ADDR=0.0.0.0:8000
COPY --from=build /app/package.json ./
COPY --from=build /app/node_modules ./node_modules
COPY --from=build /app/dist ./dist
RUN install -d -o node -g node -m 0700 /var/lib/troupe
USER node
VOLUME /var/lib/troupe
EXPOSE 50051 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --start-period=30s CMD ["node", "-e", "fetch('http://127.0.0.1:8900/livez').then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["node", "dist/ops/cli/main.js"]
CMD ["up"]
