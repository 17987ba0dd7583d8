import { expect, it } from "vitest";

import { bytes } from "./size";

it("says sizes as people do", () => {
  expect([812, 1000, 20_000, 262_144, 10_240_000, 1_000_000].map(bytes)).toEqual([
    "812 bytes",
    "1 kB",
    "20 kB",
    "262 kB",
    "10.2 MB",
    "1 MB",
  ]);
});
