import react from "@vitejs/plugin-react";
import type { Plugin } from "vite";
import { defineConfig } from "vitest/config";

/**
 * What the page may do. The hosts send a policy too (the desktop from its configuration, `countersign serve` as a
 * header); this one is part of the page, so that a host that forgets it changes nothing.
 * `ipc:` is how the desktop's webview calls its commands.
 */
const policy = [
  "default-src 'self'",
  "script-src 'self'",
  "style-src 'self'",
  "font-src 'self'",
  "img-src 'self'",
  "connect-src 'self' ipc: http://ipc.localhost",
  "object-src 'none'",
  "base-uri 'none'",
  "form-action 'none'",
].join("; ");

/** Writes the policy into the built page. Not while developing: Vite's own client adds style elements. */
function contentSecurityPolicy(): Plugin {
  return {
    name: "content-security-policy",
    apply: "build",
    transformIndexHtml: () => [
      {
        tag: "meta",
        attrs: { "http-equiv": "Content-Security-Policy", content: policy },
        injectTo: "head-prepend",
      },
    ],
  };
}

/** react-aria carries its words in some thirty languages; the app speaks one. */
function englishOnly(): Plugin {
  const words = /react-(aria|stately|aria-components)[/\\]dist[/\\](private[/\\])?intl[/\\].*[/\\]([a-z]{2}-[A-Z]{2})\.m?js$/;
  return {
    name: "english-only",
    enforce: "pre",
    load(id) {
      const locale = words.exec(id.split("?")[0] ?? "")?.[3];
      return locale !== undefined && locale !== "en-US" ? "export default {};" : null;
    },
  };
}

export default defineConfig(({ mode }) => ({
  base: "./",
  plugins: [englishOnly(), react(), contentSecurityPolicy()],
  // The desktop's command line tool prints beside Vite.
  clearScreen: false,
  css: {
    modules: { generateScopedName: mode === "production" ? "[hash:base64:6]" : "[name]_[local]_[hash:base64:4]" },
  },
  build: {
    // WebKitGTK 2.40 and later; the oldest that the supported distributions still ship.
    target: ["safari16.4", "chrome111", "firefox114"],
    outDir: mode === "mock" ? ".mock-dist" : "dist",
    emptyOutDir: true,
    // Nothing is inlined as data: addresses, so the policy needs no exception for fonts or images.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: true,
    rolldownOptions: { input: mode === "mock" ? "mock.html" : "index.html" },
  },
  server: {
    port: 5173,
    strictPort: true,
    host: "127.0.0.1",
    proxy: {
      "/api": {
        target: "http://127.0.0.1:8420",
        changeOrigin: true,
        configure: (proxy) => {
          // The server refuses foreign origins, and this proxy is one.
          proxy.on("proxyReq", (request) => {
            for (const name of ["origin", "referer", "sec-fetch-site", "sec-fetch-mode", "sec-fetch-dest"]) {
              request.removeHeader(name);
            }
          });
        },
      },
    },
  },
  test: {
    environment: "jsdom",
    include: ["src/**/*.test.{ts,tsx}"],
    setupFiles: ["tests/support/setup.ts"],
    restoreMocks: true,
    testTimeout: 60_000,
    css: { modules: { classNameStrategy: "non-scoped" } },
  },
}));
