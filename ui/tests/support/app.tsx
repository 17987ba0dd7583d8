import { act, render, screen as page } from "@testing-library/react";
import { userEvent } from "@testing-library/user-event";
import axe from "axe-core";
import { expect } from "vitest";

import { type MockOptions, mockPlatform } from "../../src/platform/mock";
import type { Platform } from "../../src/platform/platform";
import { App } from "../../src/shell/App";

/** Draws the whole app over a made-up one. */
export function drawApp(options: MockOptions & { at?: string; change?: (platform: ReturnType<typeof mockPlatform>) => void } = {}) {
  window.history.replaceState(null, "", options.at ?? "#/inbox");
  const platform = mockPlatform(options);
  options.change?.(platform);
  const user = userEvent.setup();
  const view = render(<App platform={platform} />);
  return { platform, user, ...view };
}

/** Draws the app over any platform. */
export function drawOver(platform: Platform) {
  return { user: userEvent.setup(), ...render(<App platform={platform} />) };
}

/** Lets what was started come to its end, and the guard of the answers open. */
export async function settle(milliseconds = 0) {
  await act(async () => {
    await new Promise((resolve) => setTimeout(resolve, milliseconds));
  });
}

/** The question on the desk. */
export async function shown(title: string) {
  return page.findByRole("heading", { level: 1, name: title });
}

/** Fails with what axe found. Colours are judged in a real browser, which knows them. */
export async function expectAccessible(element: Element = document.body) {
  const { violations } = await axe.run(element, { rules: { "color-contrast": { enabled: false } } });
  expect(
    violations.map(({ id, help, nodes }) => `${id}: ${help}\n  ${nodes.map(({ html }) => html).join("\n  ")}`),
    "what axe found",
  ).toEqual([]);
}
