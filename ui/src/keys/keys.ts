/** The keys of the app: one list that works, is shown on the buttons and in the help, and can be switched off. */

import { useEffect, useLayoutEffect, useRef } from "react";

import { preferences } from "../shell/preferences";

/** A handler says `false` if it did not want the key after all. */
export type Handlers = Partial<Record<string, (event: KeyboardEvent) => boolean | undefined>>;

/** What the help shows, in this order. */
export const keyHelp: { keys: string[]; says: string }[] = [
  { keys: ["j", "↓"], says: "Next question, or run" },
  { keys: ["k", "↑"], says: "Previous question, or run" },
  { keys: ["Enter"], says: "Open it" },
  { keys: ["a"], says: "Approve" },
  { keys: ["r"], says: "Reject" },
  { keys: ["n"], says: "Write a note" },
  { keys: ["e"], says: "Change what a tool is called with" },
  { keys: ["/"], says: "Search" },
  { keys: ["Esc"], says: "Leave a field, go back" },
  { keys: ["Ctrl", ","], says: "Settings" },
  { keys: ["?"], says: "Show these keys" },
];

/** Whether the person is typing text there. */
export function isTextField(target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement)) return false;
  if (target.isContentEditable || target instanceof HTMLTextAreaElement || target instanceof HTMLSelectElement) {
    return true;
  }
  return target instanceof HTMLInputElement && !["button", "checkbox", "radio", "submit"].includes(target.type);
}

/** Whether something lies above the page and has the keys: a dialog, or what a field lets choose from. */
function dialogOpen(): boolean {
  return document.querySelector('[role="dialog"], [role="alertdialog"], [role="listbox"]') !== null;
}

/** The name under which a key is looked up, or `null` if it must not be taken. */
export function keyName(event: KeyboardEvent): string | null {
  if (event.isComposing || event.defaultPrevented) return null;
  const platformModifier = event.ctrlKey || event.metaKey;
  if (platformModifier && !event.altKey && event.key === ",") return "mod+,";
  if (platformModifier || event.altKey || dialogOpen()) return null;
  if (event.key === "Escape") return "Escape";
  if (isTextField(event.target)) return null;
  const single = event.key.length === 1;
  if (single && !preferences().singleKeys) return null;
  return single ? event.key.toLowerCase() : event.key;
}

/** Listens for keys while the component is there. The latest handlers count. */
export function useKeys(handlers: Handlers): void {
  const latest = useRef(handlers);
  useLayoutEffect(() => {
    latest.current = handlers;
  });
  useEffect(() => {
    const listen = (event: KeyboardEvent) => {
      const name = keyName(event);
      if (name === null) return;
      const handler = latest.current[name];
      if (handler === undefined || handler(event) === false) return;
      event.preventDefault();
      event.stopPropagation();
    };
    // Before the widgets: a list would take a letter for the start of a word to jump to.
    window.addEventListener("keydown", listen, { capture: true });
    return () => window.removeEventListener("keydown", listen, { capture: true });
  }, []);
}

/** The keys that move in a list. Arrow keys belong to the widget that has the focus; without one they move too. */
export function useListKeys(move: (step: 1 | -1) => boolean): void {
  const fromPage = (event: KeyboardEvent) => event.target === document.body;
  useKeys({
    j: () => move(1),
    k: () => move(-1),
    ArrowDown: (event) => fromPage(event) && move(1),
    ArrowUp: (event) => fromPage(event) && move(-1),
  });
}
