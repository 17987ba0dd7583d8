/** Times in words. All take milliseconds since the epoch, so that tests own the clock. */

import { useSyncExternalStore } from "react";

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** A span in its largest fitting unit: `3 min`. */
export function span(milliseconds: number): string {
  const length = Math.max(0, milliseconds);
  if (length < 10 * SECOND) return `${(Math.round(length / 100) / 10).toString()} s`;
  if (length < MINUTE) return `${Math.floor(length / SECOND)} s`;
  if (length < HOUR) return `${Math.floor(length / MINUTE)} min`;
  if (length < DAY) return `${Math.floor(length / HOUR)} h`;
  const days = Math.floor(length / DAY);
  return days === 1 ? "1 day" : `${days} days`;
}

/** How long something took: `84 ms`, `3.1 s`. */
export function took(milliseconds: number): string {
  return milliseconds < SECOND ? `${Math.max(0, Math.round(milliseconds))} ms` : span(milliseconds);
}

/** How long ago: `just now`, `3 min ago`, `yesterday`-free so that it needs no calendar. */
export function ago(then: number, now: number): string {
  return now - then < 10 * SECOND ? "just now" : `${span(now - then)} ago`;
}

/** How long something has waited, for a narrow column: `now`, `3 min`. */
export function waited(then: number, now: number): string {
  return now - then < MINUTE ? "now" : span(now - then);
}

/** How long a question has waited, as a sentence: `Just asked`, `Waiting 3 min`. */
export function waiting(then: number, now: number): string {
  return now - then < MINUTE ? "Just asked" : `Waiting ${span(now - then)}`;
}

/** When something comes: `now`, `in 40 s`. */
export function ahead(then: number, now: number): string {
  return then - now < SECOND ? "now" : `in ${then - now < MINUTE ? `${Math.ceil((then - now) / SECOND)} s` : span(then - now)}`;
}

const exactFormat = new Intl.DateTimeFormat("en-GB", {
  weekday: "short",
  day: "numeric",
  month: "short",
  year: "numeric",
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
});

/** The exact moment, in the person's time zone. */
export function exact(then: number): string {
  return exactFormat.format(then);
}

/** `2nd`, for attempts. */
export function ordinal(number: number): string {
  const rest = number % 100;
  if (rest >= 11 && rest <= 13) return `${number}th`;
  return `${number}${["th", "st", "nd", "rd"][number % 10] ?? "th"}`;
}

const tickers = new Map<number, { now: number; listeners: Set<() => void>; timer: ReturnType<typeof setInterval> }>();

function subscribe(every: number, listener: () => void): () => void {
  let ticker = tickers.get(every);
  if (ticker === undefined) {
    const made = {
      now: Date.now(),
      listeners: new Set<() => void>(),
      timer: setInterval(() => {
        made.now = Date.now();
        for (const one of made.listeners) one();
      }, every),
    };
    ticker = made;
    tickers.set(every, made);
  }
  const { listeners, timer } = ticker;
  listeners.add(listener);
  return () => {
    listeners.delete(listener);
    if (listeners.size === 0) {
      clearInterval(timer);
      tickers.delete(every);
    }
  };
}

const starts = new Map<number, number>();

/** The present moment, told again every so many milliseconds; one timer for all who ask alike. */
export function useNow(every: number): number {
  return useSyncExternalStore(
    (listener) => subscribe(every, listener),
    () => {
      const ticking = tickers.get(every)?.now;
      if (ticking !== undefined) {
        starts.delete(every);
        return ticking;
      }
      // Before the timer runs the answer must be the same within one pass.
      const start = starts.get(every);
      const now = Date.now();
      if (start !== undefined && now - start < 250) return start;
      starts.set(every, now);
      return now;
    },
  );
}
