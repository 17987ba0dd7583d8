/** Where the person is: `#/inbox/<id>`. The part after `#` works in every host without its help. */

import { useSyncExternalStore } from "react";

export const pages = ["inbox", "flows", "runs", "history", "callbacks", "settings"] as const;
export type Page = (typeof pages)[number];
export type Route = { page: Page; id: string | undefined };

/** The address of a place. */
export function href(page: Page, id?: string): string {
  return id === undefined ? `#/${page}` : `#/${page}/${encodeURIComponent(id)}`;
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** The place of an address; the inbox if it names none. */
export function parse(hash: string): Route {
  const [page, id] = hash.replace(/^#\/?/, "").split("/");
  const known = pages.find((one) => one === page);
  if (known === undefined) return { page: "inbox", id: undefined };
  return { page: known, id: id === undefined || id === "" ? undefined : decode(id) };
}

/** Goes to a place. With `replace` the place before is not kept for the Back key. */
export function go(page: Page, id?: string, { replace = false } = {}): void {
  const target = href(page, id);
  if (target === window.location.hash) return;
  if (replace) {
    window.history.replaceState(null, "", target);
    window.dispatchEvent(new HashChangeEvent("hashchange"));
  } else {
    window.location.hash = target;
  }
}

let last: Route = { page: "inbox", id: undefined };
function snapshot(): Route {
  const next = parse(window.location.hash);
  if (next.page !== last.page || next.id !== last.id) last = next;
  return last;
}

function subscribe(listener: () => void): () => void {
  window.addEventListener("hashchange", listener);
  return () => window.removeEventListener("hashchange", listener);
}

/** The place, following the address. */
export function useRoute(): Route {
  return useSyncExternalStore(subscribe, snapshot);
}
