/** In a real browser, over the built page: what only that can tell. */
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";

import type { Browser, BrowserContext, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";

import { startBrowser } from "../support/browser.mjs";
import { serveMock } from "../support/serve.mjs";

let browser: Browser;
let server: { url: string; close: () => Promise<void> };
let context: BrowserContext;
let axe: string;

beforeAll(async () => {
  axe = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
  server = await serveMock();
  browser = await startBrowser();
});

afterAll(async () => {
  await browser.close();
  await server.close();
});

afterEach(async () => {
  await context.close();
});

type Options = { scenario?: string; width?: number; height?: number; theme?: "light" | "dark"; motion?: "reduce" | "no-preference" };

async function open(hash: string, { scenario = "usual", width = 1280, height = 800, theme = "light", motion = "reduce" }: Options = {}) {
  context = await browser.newContext({
    viewport: { width, height },
    colorScheme: theme,
    reducedMotion: motion,
    // axe is put into the page by the test; the page's own policy would keep it out.
    permissions: ["clipboard-read", "clipboard-write"],
  });
  const page = await context.newPage();
  const complaints: string[] = [];
  page.on("console", (message) => {
    if (message.type() === "error" || message.type() === "warning") complaints.push(message.text());
  });
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("request", (request) => {
    if (!request.url().startsWith(server.url)) complaints.push(`asked ${request.url()}`);
  });
  await page.goto(`${server.url}/mock.html?scenario=${scenario}${hash}`);
  await page.getByRole("link", { name: "Inbox", exact: true }).waitFor();
  return { page, complaints };
}

const pages = ["inbox", "flows", "runs", "history", "callbacks", "settings"];
const heading = (page: Page) => page.getByRole("heading", { level: 1 }).first();

describe("the content security policy", () => {
  it("is on every page, and nothing offends it or leaves the machine", async () => {
    const { page, complaints } = await open("#/inbox", { motion: "no-preference" });
    for (const name of pages) {
      await page.getByRole("link", { name: name.charAt(0).toUpperCase() + name.slice(1), exact: true }).click();
      await heading(page).waitFor();
    }
    await page.getByRole("link", { name: "Inbox", exact: true }).click();
    await page.getByRole("button", { name: "the release notes" }).click();
    await page.getByRole("dialog").waitFor();
    await page.keyboard.press("Escape");
    expect(await page.locator("meta[http-equiv=Content-Security-Policy]").getAttribute("content")).toContain("default-src 'self'");
    expect(await page.locator("style").count(), "no style is added at run time").toBe(0);
    expect(complaints).toEqual([]);
  });

  it("keeps inline script out", async () => {
    const { page, complaints } = await open("#/inbox");
    await page.evaluate(() => {
      const script = document.createElement("script");
      script.textContent = "window.slipped = true";
      document.body.append(script);
    });
    expect(await page.evaluate(() => "slipped" in window)).toBe(false);
    expect(complaints.join()).toContain("Content Security Policy");
  });
});

describe("contrast and the rest that axe can see", () => {
  for (const theme of ["light", "dark"] as const) {
    it.each([...pages, "inbox:first-run", "inbox:storage-failed", "inbox:port-taken", "inbox:repaired", "inbox:no-notifications", "inbox:offline", "inbox:error", "inbox:slow-details", "inbox:broken-details", "inbox:heavy", "inbox:tool-call", "history:tool-call", "flows:troubled", "history:troubled", "callbacks:broken-details", "callbacks:heavy", "settings:troubled"])(
      `%s, ${theme}`,
      async (place) => {
        const [name = "", scenario = "usual"] = place.split(":");
        const { page } = await open(`#/${name}`, { theme, scenario });
        await page.waitForTimeout(300);
        await page.evaluate(axe);
        const found = await page.evaluate(async () => {
          const { axe: run } = window as unknown as {
            axe: { run: () => Promise<{ violations: { id: string; nodes: { html: string; failureSummary: string }[] }[] }> };
          };
          return (await run.run()).violations.flatMap(({ id, nodes }) => nodes.map(({ html, failureSummary }) => `${id}: ${html}\n${failureSummary}`));
        });
        expect(found).toEqual([]);
      },
    );
  }
});

describe("a thousand questions", () => {
  it("are drawn as far as they are seen, and come page by page", async () => {
    const { page } = await open("#/inbox", { scenario: "many" });
    const list = page.getByRole("grid", { name: "Questions that wait" });
    await list.getByRole("row").first().waitFor();
    const pagesRead = () =>
      page.evaluate(() => {
        const { countersign } = window as unknown as { countersign: { calls: [string][] } };
        return countersign.calls.filter(([name]) => name === "listApprovals").length;
      });
    expect(await pagesRead()).toBeLessThanOrEqual(2);
    // To the end, in steps of a screen, noting the longest frame.
    const longest = await list.evaluate(async (element) => {
      let last = performance.now();
      let worst = 0;
      const frame = () => new Promise<number>((resolve) => requestAnimationFrame(resolve));
      for (let still = 0; still < 12; ) {
        const before = element.scrollTop;
        element.scrollTop += element.clientHeight;
        await frame();
        const now = performance.now();
        worst = Math.max(worst, now - last);
        last = now;
        still = element.scrollTop === before ? still + 1 : 0;
      }
      return worst;
    });
    await page.getByText(/number 1000\?$/).first().waitFor();
    expect(await pagesRead()).toBe(10);
    expect(await list.getByRole("row").count(), "only what is in sight").toBeLessThan(40);
    expect(longest, "milliseconds of the longest frame").toBeLessThan(400);
  });

  it("answer to the keyboard at once", async () => {
    const { page } = await open("#/inbox", { scenario: "many" });
    await page.getByRole("grid").getByRole("row").first().waitFor();
    await page.waitForTimeout(600);
    const before = await heading(page).textContent();
    const took = await page.evaluate(async () => {
      const start = performance.now();
      window.dispatchEvent(new KeyboardEvent("keydown", { key: "j", bubbles: true, cancelable: true }));
      const title = document.querySelector("h1")?.textContent;
      while (document.querySelector("h1")?.textContent === title && performance.now() - start < 2000) {
        await new Promise((resolve) => setTimeout(resolve, 1));
      }
      return performance.now() - start;
    });
    expect(await heading(page).textContent()).not.toBe(before);
    expect(took, "milliseconds from the key to the next question").toBeLessThan(250);
  });

  it("keep the row under the eyes where it is when one arrives", async () => {
    const { page } = await open("#/inbox", { scenario: "many" });
    const list = page.getByRole("grid");
    const row = list.getByRole("row").nth(3);
    await row.hover();
    const before = await row.boundingBox();
    const name = await row.getAttribute("aria-label");
    await page.evaluate(() => {
      const { countersign } = window as unknown as { countersign: { arrive: (approval: { id: string; title: string }) => void } };
      countersign.arrive({ id: "019ab000-0000-7000-a000-000000000001", title: "Rotate the keys?" });
    });
    await page.getByRole("button", { name: "1 new, show" }).waitFor();
    const same = list.getByRole("row", { name: name ?? "" }).first();
    expect(await same.boundingBox()).toEqual(before);
  });
});

describe("ten megabytes", () => {
  /** Notes from the start how long the page stood still each time. */
  const watch = (page: Page) =>
    page.evaluate(() => {
      const stops: number[] = [];
      Object.assign(window, { stops });
      new PerformanceObserver((list) => stops.push(...list.getEntries().map(({ duration }) => duration))).observe({ type: "longtask" });
    });
  const longest = (page: Page) =>
    page.evaluate(async () => {
      await new Promise((resolve) => setTimeout(resolve, 100));
      return Math.max(0, ...(window as unknown as { stops: number[] }).stops.splice(0));
    });

  it("stop the page neither when they are opened, nor when all of them are shown, scrolled and typed beside", async () => {
    const { page, complaints } = await open("#/inbox/019ab000-0000-7000-8000-000000000106", { scenario: "heavy" });
    await heading(page).waitFor();
    await page.waitForTimeout(500);
    await watch(page);
    await page.evaluate(() => {
      window.location.hash = "#/inbox/019ab000-0000-7000-8000-000000000107";
    });
    const all = page.getByRole("button", { name: "Show all of log" });
    await all.waitFor();
    expect(await longest(page), "milliseconds until it stands there").toBeLessThan(1_500);
    await all.click();
    const lines = page.getByRole("region", { name: "log" });
    await lines.waitFor();
    expect(await longest(page), "milliseconds until all of it is there").toBeLessThan(1_000);
    await lines.evaluate((frame) => {
      frame.scrollTop = frame.scrollHeight;
    });
    await page.waitForTimeout(200);
    const pre = lines.locator("pre");
    expect((await pre.innerText()).length, "letters in the page").toBeLessThan(5_000);
    const text = await pre.innerText();
    expect(text.trimEnd().endsWith("all of them were green"), "the end is in sight").toBe(true);
    expect(await lines.evaluate((frame) => frame.scrollWidth <= frame.clientWidth), "nothing is cut off at the side").toBe(true);
    await page.keyboard.press("n");
    await page.keyboard.type("quick fingers");
    expect(await longest(page), "milliseconds for a letter of the note").toBeLessThan(300);
    expect(complaints).toEqual([]);
  });

  it("reach a list of a million lines to its end", async () => {
    const { page } = await open("#/inbox/019ab000-0000-7000-8000-000000000107", { scenario: "heavy" });
    await page.getByRole("button", { name: "Show all of files" }).click();
    const lines = page.getByRole("region", { name: "files" });
    await lines.evaluate((frame) => {
      frame.scrollTop = frame.scrollHeight;
    });
    await page.waitForTimeout(200);
    const text = await lines.locator("pre").innerText();
    expect(text).toContain("src/part-59999.rs");
    expect(text.trimEnd().endsWith("]"), "the last line is in sight").toBe(true);
  });
});

describe("what lies below the edge", () => {
  it("is shown to be there, and what happens next is one press away", async () => {
    const { page } = await open("#/inbox/019ab000-0000-7000-8000-000000000107", { width: 800, height: 600 });
    const way = page.getByRole("button", { name: "What happens next" });
    const next = page.getByRole("region", { name: "What happens next" });
    await way.click();
    await way.waitFor({ state: "detached" });
    const [card, bar] = await Promise.all([next.boundingBox(), page.getByRole("group", { name: "Your answer" }).boundingBox()]);
    expect((card?.y ?? 0) + (card?.height ?? 0), "all of it is above the answers").toBeLessThanOrEqual(bar?.y ?? 0);
  });

  it("is nothing where all is in sight", async () => {
    const { page } = await open("#/inbox/019ab000-0000-7000-8000-000000000107", { height: 1300 });
    await page.getByRole("region", { name: "What happens next" }).getByText("Condition: Is there a migration?").waitFor();
    await page.waitForTimeout(200);
    expect(await page.getByRole("button", { name: "What happens next" }).count()).toBe(0);
  });
});

describe("the notice after an answer", () => {
  it.each([800, 1280])("lies over nothing, %d wide", async (width) => {
    const { page } = await open("#/inbox/019ab000-0000-7000-8000-000000000107", { width, height: 600 });
    await heading(page).waitFor();
    await page.waitForTimeout(560);
    await page.keyboard.press("a");
    const notice = page.locator("[data-edge]");
    await notice.waitFor();
    const box = await notice.boundingBox();
    const others = width === 800 ? page.locator("article") : page.getByRole("grid", { name: "Questions that wait" });
    // What scrolls beneath ends where its frame ends.
    const frame = await others.evaluate((element) => {
      const { top, bottom } = (element.matches("article") ? (element.parentElement ?? element) : element).getBoundingClientRect();
      return { top, bottom };
    });
    const [top, bottom] = [box?.y ?? 0, (box?.y ?? 0) + (box?.height ?? 0)];
    expect(bottom <= frame.top + 1 || top >= frame.bottom - 1, JSON.stringify({ top, bottom, frame })).toBe(true);
  });
});

describe("answering by keyboard", () => {
  it("moves the focus to the next question each time, and ends on the empty desk", async () => {
    const { page, complaints } = await open("#/inbox", { motion: "no-preference" });
    await heading(page).waitFor();
    for (let left = 7; left > 0; left -= 1) {
      await page.waitForTimeout(560);
      const title = await heading(page).textContent();
      await page.keyboard.press(left % 2 === 0 ? "a" : "r");
      if (left > 1) {
        await page.waitForFunction((before) => document.querySelector("h1")?.textContent !== before, title);
        const focused = await page.evaluate(() => document.activeElement?.getAttribute("aria-label"));
        expect(focused, "the next question has the focus").toBe(await heading(page).textContent());
      }
    }
    await page.getByRole("heading", { name: "Nothing waits for you" }).waitFor();
    expect(await page.evaluate(() => document.activeElement?.textContent)).toBe("Nothing waits for you");
    expect(complaints).toEqual([]);
  });
});

describe("sizes", () => {
  it.each([
    [640, 480],
    [800, 600],
    [1280, 800],
    [2560, 1300],
  ])("%d × %d: nothing is cut off at the side and the page itself does not scroll", async (width, height) => {
    const { page } = await open("#/inbox", { width, height });
    const places = [
      ...pages.map((name) => `#/${name}`),
      "#/inbox/019ab000-0000-7000-8000-000000000105",
      "#/flows/5b1d9a64-3f0e-4c39-9a5e-0a6f1c2d7e01",
      "#/flows/5b1d9a64-3f0e-4c39-9a5e-0a6f1c2d7e04",
      "#/runs/r-3",
      "#/callbacks/019ab000-0000-7000-8000-0000000000c5",
      "#/history/019ab000-0000-7000-8000-000000000090",
    ];
    for (const place of places) {
      await page.evaluate((hash) => {
        window.location.hash = hash;
      }, place);
      await page.waitForTimeout(150);
      const overflow = await page.evaluate(() => {
        const root = document.documentElement;
        const wide = [...document.querySelectorAll("main *")].filter((element) => {
          const style = getComputedStyle(element);
          return style.overflowX === "auto" && element.scrollWidth > element.clientWidth + 1 && element.matches("div:not([tabindex])");
        });
        return {
          page: root.scrollWidth > root.clientWidth || root.scrollHeight > root.clientHeight,
          inside: wide.map((element) => element.className),
        };
      });
      expect(overflow, place).toEqual({ page: false, inside: [] });
    }
  });

  it("keeps the two answers in sight on a small screen", async () => {
    const { page } = await open("#/inbox/019ab000-0000-7000-8000-000000000107", { width: 640, height: 480 });
    for (const name of ["Approve", "Reject"]) {
      const box = await page.getByRole("button", { name }).boundingBox();
      expect(box, name).not.toBeNull();
      expect((box?.y ?? 0) + (box?.height ?? 0), name).toBeLessThanOrEqual(480);
      expect((box?.x ?? 0) + (box?.width ?? 0), name).toBeLessThanOrEqual(640);
    }
  });
});

describe("the call of a tool", () => {
  it.each([
    [640, 480],
    [800, 600],
    [1280, 800],
  ])("%d × %d: is changed by keyboard alone, with both answers in sight", async (width, height) => {
    const { page, complaints } = await open("#/inbox/019ab000-0000-7000-8000-000000000107", { scenario: "tool-call", width, height });
    await page.getByRole("region", { name: "The call" }).waitFor();
    await page.waitForTimeout(560);
    await page.keyboard.press("e");
    const field = page.getByRole("textbox", { name: "Arguments, as JSON" });
    await field.waitFor();
    await page.keyboard.press("Control+A");
    await page.keyboard.insertText('{ "order": 48213, "amount": 64000000000000000000 }');
    expect(await page.getByRole("button", { name: "Approve" }).isDisabled()).toBe(true);
    await page.keyboard.press("Control+A");
    await page.keyboard.insertText('{ "order": 48213, "amount": 640 }');
    for (const name of ["Approve with changes", "Reject"]) {
      const box = await page.getByRole("button", { name }).boundingBox();
      expect((box?.y ?? height) + (box?.height ?? 0), name).toBeLessThanOrEqual(height);
      expect((box?.x ?? width) + (box?.width ?? 0), name).toBeLessThanOrEqual(width);
    }
    const root = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    expect(root, "nothing is cut off at the side").toBeLessThanOrEqual(0);
    await page.getByRole("button", { name: "Approve with changes" }).focus();
    await page.keyboard.press("Enter");
    await page.getByText("You approved with changes: Run the tool").first().waitFor();
    const sent = await page.evaluate(() => {
      const { countersign } = window as unknown as { countersign: { calls: [string, string, object][] } };
      return countersign.calls.find(([name]) => name === "decideApproval")?.[2];
    });
    expect(sent).toMatchObject({ outcome: "approve", arguments: { order: 48213, amount: 640 } });
    expect(complaints).toEqual([]);
  });
});

describe("the clipboard", () => {
  it("gets the webhook URL", async () => {
    const { page } = await open("#/flows");
    await page.getByRole("button", { name: "Copy webhook URL" }).click();
    expect(await page.evaluate(() => navigator.clipboard.readText())).toBe(
      "http://127.0.0.1:8420/api/v1/webhook/5b1d9a64-3f0e-4c39-9a5e-0a6f1c2d7e01",
    );
  });
});
