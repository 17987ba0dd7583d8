/** What belongs to this window and not to the app: theme and keys. Kept by the browser or webview. */

import { useSyncExternalStore } from "react";

export type Theme = "system" | "light" | "dark";
export type Preferences = { theme: Theme; singleKeys: boolean };

const KEY = "countersign.preferences";
const usual: Preferences = { theme: "system", singleKeys: true };
const listeners = new Set<() => void>();

function read(): Preferences {
  try {
    const kept = JSON.parse(window.localStorage.getItem(KEY) ?? "{}") as Partial<Preferences>;
    return {
      theme: kept.theme === "light" || kept.theme === "dark" ? kept.theme : "system",
      singleKeys: kept.singleKeys !== false,
    };
  } catch {
    return usual;
  }
}

let current: Preferences | undefined;

/** What is chosen now. */
export function preferences(): Preferences {
  current ??= read();
  return current;
}

/** Changes some of it and keeps it. */
export function changePreferences(change: Partial<Preferences>): void {
  current = { ...preferences(), ...change };
  try {
    window.localStorage.setItem(KEY, JSON.stringify(current));
  } catch {
    // A full or forbidden storage only means that the choice is gone at the next start.
  }
  applyTheme();
  for (const listener of listeners) listener();
}

export function usePreferences(): Preferences {
  return useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    preferences,
  );
}

const dark = () => window.matchMedia("(prefers-color-scheme: dark)");

/** Puts the chosen theme on the page. */
export function applyTheme(): void {
  const { theme } = preferences();
  document.documentElement.dataset.theme = theme === "system" ? (dark().matches ? "dark" : "light") : theme;
}

/** Follows the system while it is the choice. */
export function followTheme(): void {
  applyTheme();
  dark().addEventListener("change", applyTheme);
}
