/** What jsdom does not have, and a clean slate for each test. */
import "@testing-library/jest-dom/vitest";

import { cleanup, configure } from "@testing-library/react";
import { afterEach, beforeEach, expect, vi } from "vitest";

import { clearNotices } from "../../src/components/Announcer";
import { filledForms } from "../../src/features/flows/form";
import { policyDrafts } from "../../src/features/flows/policy";
import { drafts } from "../../src/features/inbox/drafts";
import { lastFilter } from "../../src/features/runs/filter";
import { setConnected } from "../../src/shell/connection";
import { changePreferences } from "../../src/shell/preferences";
import { screen } from "./screen";

// A busy machine is slow, not wrong.
configure({ asyncUtilTimeout: 10_000 });

class NoObserver {
  observe = () => undefined;
  unobserve = () => undefined;
  disconnect = () => undefined;
  takeRecords = () => [];
}
vi.stubGlobal("ResizeObserver", NoObserver);
vi.stubGlobal("IntersectionObserver", NoObserver);
vi.stubGlobal("CSS", { escape: (text: string) => text.replace(/[^\w-]/g, "\\$&"), supports: () => false });
Element.prototype.scrollTo = () => undefined;
Element.prototype.scrollIntoView = () => undefined;
// The list draws the rows that fit, and nothing fits into no pixels.
Object.defineProperty(HTMLElement.prototype, "clientHeight", { configurable: true, get: () => 800 });
Object.defineProperty(HTMLElement.prototype, "clientWidth", { configurable: true, get: () => 344 });
Object.defineProperty(HTMLElement.prototype, "scrollHeight", { configurable: true, get: () => 64 });

window.matchMedia = (query: string) => {
  const minimum = /min-width: (\d+)px/.exec(query)?.[1];
  return {
    matches: minimum !== undefined ? screen.width >= Number(minimum) : query.includes("reduced-motion"),
    media: query,
    onchange: null,
    addEventListener: () => undefined,
    removeEventListener: () => undefined,
    dispatchEvent: () => false,
  } as unknown as MediaQueryList;
};

// axe asks for a canvas to tell icons from letters, and takes no for an answer.
HTMLCanvasElement.prototype.getContext = () => null;

/** What the page complained of. A test that wants to see complaints puts its own listener in place. */
let complaints: unknown[][] = [];

beforeEach(() => {
  complaints = [];
  vi.spyOn(console, "error").mockImplementation((...complaint: unknown[]) => {
    complaints.push(complaint);
  });
  screen.width = 1280;
  window.localStorage.clear();
  window.sessionStorage.clear();
  window.history.replaceState(null, "", "#/inbox");
  changePreferences({ theme: "light", singleKeys: true });
  setConnected(true);
  drafts.clear();
  policyDrafts.clear();
  filledForms.clear();
  lastFilter.current = { flow: null, state: null };
  clearNotices();
});

afterEach(() => {
  cleanup();
  vi.useRealTimers();
  expect(complaints, "what the page complained of").toEqual([]);
});

Blob.prototype.text = function text(this: Blob) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result as string);
    reader.onerror = () => reject(new Error("The file cannot be read"));
    reader.readAsText(this);
  });
};
