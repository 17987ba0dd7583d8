/* Takes a picture of every page in both themes, over the built page with made-up data.
   Usage: node tests/pictures.mjs [folder]   (after `npm run build:mock`) */
import { mkdir } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { startBrowser } from "./support/browser.mjs";
import { serveMock } from "./support/serve.mjs";

const out = process.argv[2] ?? join(tmpdir(), "ui-pictures");
const only = process.argv[3];
await mkdir(out, { recursive: true });
const { url, close } = await serveMock();
const browser = await startBrowser();

const usual = [1280, 800];
const small = [800, 600];
const wide = [2560, 1300];
const flow = "5b1d9a64-3f0e-4c39-9a5e-0a6f1c2d7e0";
const shots = [
  ["inbox", "#/inbox", {}],
  ["inbox-long", "#/inbox/019ab000-0000-7000-8000-000000000105", {}],
  ["inbox-open", "#/inbox/019ab000-0000-7000-8000-000000000106", {}],
  ["tool-call", "#/inbox", { scenario: "tool-call" }],
  ["tool-call-edit", "#/inbox", { scenario: "tool-call", click: "Change the arguments" }],
  ["tool-call-changed", "#/inbox", { scenario: "tool-call", click: "Change the arguments", then: ["Arguments, as JSON", '{\n  "order": 48213,\n  "amount": 640,\n  "currency": "EUR"\n}'] }],
  ["tool-call-flawed", "#/inbox", { scenario: "tool-call", click: "Change the arguments", then: ["Arguments, as JSON", '{\n  "order": 48213,\n  "amount": 6'] }],
  ["tool-call-history", "#/history", { scenario: "tool-call" }],
  ["small-tool-call", "#/inbox/019ab000-0000-7000-8000-000000000107", { size: small, scenario: "tool-call" }],
  ["small-tool-call-changed", "#/inbox/019ab000-0000-7000-8000-000000000107", { size: small, scenario: "tool-call", click: "Change the arguments", then: ["Arguments, as JSON", '{\n  "order": 48213,\n  "amount": 640,\n  "currency": "EUR"\n}'] }],
  ["small-tool-call-history", "#/history/019ab000-0000-7000-8000-000000000090", { size: small, scenario: "tool-call" }],
  ["inbox-first-run", "#/inbox", { scenario: "first-run" }],
  ["inbox-empty", "#/inbox", { scenario: "empty" }],
  ["inbox-many", "#/inbox", { scenario: "many" }],
  ["inbox-loading", "#/inbox", { scenario: "slow" }],
  ["inbox-offline", "#/inbox", { scenario: "offline" }],
  ["inbox-error", "#/inbox", { scenario: "error" }],
  ["inbox-port", "#/inbox", { scenario: "port-taken" }],
  ["inbox-storage", "#/inbox", { scenario: "storage-failed" }],
  ["inbox-repaired", "#/inbox", { scenario: "repaired" }],
  ["damaged-inbox", "#/inbox", { scenario: "damaged" }],
  ["damaged-take-back", "#/inbox/019ab000-0000-7000-8000-000000000107", { scenario: "damaged", click: ["Understood", "Take the question back"] }],
  ["small-damaged", "#/inbox/019ab000-0000-7000-8000-000000000107", { size: small, scenario: "damaged" }],
  ["small-damaged-seen", "#/inbox/019ab000-0000-7000-8000-000000000107", { size: small, scenario: "damaged", click: "Understood" }],
  ["inbox-no-notifications", "#/inbox", { scenario: "no-notifications" }],
  ["flows", "#/flows", {}],
  ["flows-secret", `#/flows/${flow}3`, {}],
  ["flows-policy", `#/flows/${flow}1`, { scroll: "policy" }],
  ["flows-policy-typed", `#/flows/${flow}1`, { scroll: "policy", type: ["Time limit", "99999999"], click: "Save limits and retries" }],
  ["flows-form", `#/flows/${flow}4`, {}],
  ["flows-form-open", `#/flows/${flow}4`, { click: "Fill in the form" }],
  ["flows-form-wrong", `#/flows/${flow}4`, { click: ["Fill in the form", "Start the flow"] }],
  ["flows-chat-open", `#/flows/${flow}5`, { click: "Ask it something" }],
  ["runs", "#/runs", {}],
  ["runs-waiting", "#/runs/e-019ab000-0000-7000-8000-000000000107", {}],
  ["runs-failed", "#/runs/r-4", {}],
  ["runs-interrupted", "#/runs/r-3", {}],
  ["runs-cancel", "#/runs/r-3", { click: "Cancel the run" }],
  ["runs-filter", "#/runs", { click: "Any state State" }],
  ["runs-none", "#/runs", { scenario: "first-run" }],
  ["runs-error", "#/runs", { scenario: "error" }],
  ["flows-none", "#/flows", { scenario: "first-run" }],
  ["history", "#/history", {}],
  ["history-none", "#/history", { scenario: "first-run" }],
  ["callbacks", "#/callbacks", {}],
  ["callbacks-none", "#/callbacks", { scenario: "first-run" }],
  ["settings", "#/settings", {}],
  ["settings-end", "#/settings", { scroll: "settings-keys" }],
  ["troubled-flows", "#/flows", { scenario: "troubled" }],
  ["troubled-history", "#/history", { scenario: "troubled" }],
  ["troubled-settings", "#/settings", { scenario: "troubled" }],
  ["troubled-tray", "#/settings", { scenario: "troubled", scroll: "settings-notifications" }],
  ["slow-details-inbox", "#/inbox", { scenario: "slow-details" }],
  ["slow-details-callbacks", "#/callbacks", { scenario: "slow-details" }],
  ["broken-details-inbox", "#/inbox", { scenario: "broken-details" }],
  ["broken-details-callbacks", "#/callbacks", { scenario: "broken-details" }],
  ["heavy-inbox", "#/inbox", { scenario: "heavy" }],
  ["heavy-inbox-all", "#/inbox", { scenario: "heavy", click: "Show all of log" }],
  ["heavy-callbacks", "#/callbacks", { scenario: "heavy", scroll: "body" }],
  ["settings-plan", "#/settings", { scroll: "plan" }],
  ["settings-connections", "#/settings", { scroll: "settings-connections", click: "Add connection" }],
  ["history-steps", "#/history", { click: "Show steps" }],
  ["small-troubled-flows", `#/flows/${flow}1`, { size: small, scenario: "troubled" }],
  ["small-troubled-history", "#/history/019ab000-0000-7000-8000-000000000090", { size: small, scenario: "troubled" }],
  ["small-troubled-settings", "#/settings", { size: small, scenario: "troubled" }],
  ["small-troubled-tray", "#/settings", { size: small, scenario: "troubled", scroll: "settings-notifications" }],
  ["small-slow-details", "#/inbox/019ab000-0000-7000-8000-000000000107", { size: small, scenario: "slow-details" }],
  ["small-broken-details", "#/inbox/019ab000-0000-7000-8000-000000000107", { size: small, scenario: "broken-details" }],
  ["small-heavy-all", "#/inbox/019ab000-0000-7000-8000-000000000107", { size: small, scenario: "heavy", click: "Show all of log" }],
  ["small-plan", "#/settings", { size: small, scroll: "plan" }],
  ["small-connections", "#/settings", { size: small, scroll: "settings-connections", click: "Add connection" }],
  ["small-runs-list", "#/runs", { size: small }],
  ["small-runs-interrupted", "#/runs/r-3", { size: small }],
  ["small-runs-waiting", "#/runs/e-019ab000-0000-7000-8000-000000000107", { size: small }],
  ["small-policy", `#/flows/${flow}1`, { size: small, scroll: "policy" }],
  ["small-form", `#/flows/${flow}4`, { size: small }],
  ["small-form-wrong", `#/flows/${flow}4`, { size: small, click: ["Fill in the form", "Start the flow"] }],
  ["sign-in", "#/inbox", { scenario: "sign-in" }],
  ["small-inbox-list", "#/inbox", { size: small }],
  ["small-inbox", "#/inbox/019ab000-0000-7000-8000-000000000107", { size: small }],
  ["small-flows", `#/flows/${flow}1`, { size: small }],
  ["small-callbacks", "#/callbacks/019ab000-0000-7000-8000-0000000000c5", { size: small }],
  ["small-settings", "#/settings", { size: small }],
  ["small-first-run", "#/inbox", { size: small, scenario: "first-run" }],
  ["wide-inbox", "#/inbox", { size: wide }],
  ["keys", "#/inbox", { press: "?" }],
  ["decided", "#/inbox", { press: "a", wait: 900 }],
  ["small-decided", "#/inbox/019ab000-0000-7000-8000-000000000107", { size: small, press: "a", wait: 900 }],
  ["next", "#/inbox/019ab000-0000-7000-8000-000000000106", { click: "What happens next" }],
  ["note", "#/inbox", { type: ["Note for the requester", "Watched the canary.\nAll quiet, so this can go out now.\nThird line.\nFourth line."] }],
  ["small-steps", `#/flows/${flow}1`, { size: small, scroll: "steps" }],
  ["flows-port", `#/flows/${flow}1`, { scenario: "port-taken" }],
];

for (const [name, hash, { scenario = "usual", size = usual, press, click, then, scroll, type, wait }] of shots) {
  if (only !== undefined && !name.includes(only)) continue;
  for (const theme of ["light", "dark"]) {
    const context = await browser.newContext({
      viewport: { width: size[0], height: size[1] },
      colorScheme: theme,
      reducedMotion: "reduce",
    });
    const page = await context.newPage();
    page.on("console", (message) => {
      if (["error", "warning"].includes(message.type())) console.log(`${name} ${theme}: ${message.text()}`);
    });
    page.on("pageerror", (error) => console.log(`${name} ${theme}: ${error}`));
    await page.goto(`${url}/mock.html?scenario=${scenario}${hash}`);
    await page.waitForSelector("nav, main");
    await page.waitForTimeout(wait === undefined ? 450 : 700);
    if (press !== undefined) await page.keyboard.press(press);
    if (type !== undefined) await page.getByLabel(type[0]).first().fill(type[1]);
    for (const button of [click ?? []].flat()) {
      await page.getByRole("button", { name: button }).first().click();
      await page.waitForTimeout(150);
    }
    if (then !== undefined) await page.getByLabel(then[0]).first().fill(then[1]);
    if (scroll === "plan") await page.getByLabel("When a receiver does not take it").evaluate((field) => field.scrollIntoView({ block: "center" }));
    else if (scroll === "policy") await page.getByRole("form", { name: "Limits and retries" }).evaluate((form) => form.scrollIntoView({ block: "center" }));
    else if (scroll === "steps") await page.getByRole("region", { name: "Steps" }).evaluate((card) => card.scrollIntoView({ block: "center" }));
    else if (scroll === "body") await page.getByRole("button", { name: "Show all" }).evaluate((button) => button.scrollIntoView({ block: "end" }));
    else if (scroll !== undefined) await page.evaluate((id) => document.getElementById(id)?.scrollIntoView({ behavior: "instant" }), scroll);
    if (press ?? click ?? scroll ?? type) await page.waitForTimeout(wait ?? 300);
    await page.screenshot({ path: join(out, `${name}-${theme}.png`) });
    await context.close();
  }
}
await browser.close();
await close();
console.log(out);
