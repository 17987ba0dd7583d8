import { defineConfig } from "vitest/config";

/** Tests in a real browser, over the built page with made-up data. */
export default defineConfig({
  test: {
    include: ["tests/e2e/**/*.test.ts"],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    fileParallelism: false,
  },
});
