/** Starts the browser of the tests: the one that CHROMIUM names, else the system's, else the one that Playwright installed. */
import { existsSync } from "node:fs";

import { chromium } from "playwright-core";

const SYSTEM = "/usr/bin/chromium";

export function startBrowser() {
  const executablePath = process.env.CHROMIUM || (existsSync(SYSTEM) ? SYSTEM : undefined);
  return chromium.launch({
    ...(executablePath === undefined ? {} : { executablePath }),
    args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
  });
}
