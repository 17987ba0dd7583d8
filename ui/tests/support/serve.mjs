/** Serves the built page with made-up data from `.mock-dist` on a free port. */
import { fileURLToPath } from "node:url";

import { preview } from "vite";

export async function serveMock() {
  const root = fileURLToPath(new URL("../..", import.meta.url));
  const server = await preview({
    root,
    configFile: false,
    logLevel: "error",
    build: { outDir: ".mock-dist" },
    preview: { port: 0, host: "127.0.0.1" },
  });
  const address = server.httpServer.address();
  if (address === null || typeof address === "string") throw new Error("The preview has no port");
  return { url: `http://127.0.0.1:${address.port}`, close: () => server.close() };
}
