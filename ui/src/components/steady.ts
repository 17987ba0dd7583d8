/** A list that holds still while somebody looks at it. */

import { useState } from "react";

/** A row that stays where it is. */
export type Steady<T> = { item: T; gone: boolean };

type Held<T> = { source: readonly T[]; rows: Steady<T>[]; fresh: T[] };

/**
 * The rows to show when `source` (newest first) has become another while the person is at the list: what was there
 * stays in its place, what has left is marked `gone`, what came on top waits as `fresh`, what follows below (an older
 * page) is added at the end.
 */
export function hold<T extends { id: string }>(rows: readonly Steady<T>[], source: readonly T[]): Omit<Held<T>, "source"> {
  const now = new Map(source.map((item) => [item.id, item]));
  const before = new Set(rows.map(({ item }) => item.id));
  const kept = rows.map(({ item }) => {
    const current = now.get(item.id);
    return current === undefined ? { item, gone: true } : { item: current, gone: false };
  });
  let lastKnown = -1;
  source.forEach(({ id }, index) => {
    if (before.has(id)) lastKnown = index;
  });
  const fresh = source.filter(({ id }, index) => !before.has(id) && index < lastKnown);
  const below = lastKnown === -1 ? [] : source.slice(lastKnown + 1);
  // Nothing of what was there is left: whatever there is now is new.
  if (lastKnown === -1) return { rows: kept, fresh: [...source] };
  return { rows: [...kept, ...below.map((item) => ({ item, gone: false }))], fresh };
}

function all<T>(source: readonly T[]): Held<T> {
  return { source, rows: source.map((item) => ({ item, gone: false })), fresh: [] };
}

/** The rows to show, what waits above them, and how to let everything in. */
export function useSteadyList<T extends { id: string }>(source: readonly T[], engaged: boolean) {
  const [held, setHeld] = useState<Held<T>>(() => all(source));
  let current = held;
  const settled = held.fresh.length === 0 && held.rows.every(({ gone }) => !gone);
  if (!engaged && (held.source !== source || !settled)) {
    current = all(source);
    setHeld(current);
  } else if (held.source !== source) {
    current = held.rows.length === 0 ? all(source) : { source, ...hold(held.rows, source) };
    setHeld(current);
  }
  return {
    rows: current.rows,
    fresh: current.fresh,
    release: (next: readonly T[] = source) => setHeld(all(next)),
  };
}
