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

/** One clock for all who want the time equally often. It ticks while somebody listens. */
type Ticker = { now: number; listeners: Set<() => void>; timer: ReturnType<typeof setInterval> | undefined };
const tickers = new Map<number, Ticker>();

function tickerOf(every: number): Ticker {
  let ticker = tickers.get(every);
  if (ticker === undefined) {
    ticker = { now: Date.now(), listeners: new Set(), timer: undefined };
    tickers.set(every, ticker);
  }
  return ticker;
}

function subscribe(every: number, listener: () => void): () => void {
  const ticker = tickerOf(every);
  ticker.listeners.add(listener);
  // The time itself stays as it is: a change here would draw everything that tells time again, once for each.
  ticker.timer ??= setInterval(() => {
    ticker.now = Date.now();
    for (const one of ticker.listeners) one();
  }, every);
  return () => {
    ticker.listeners.delete(listener);
    if (ticker.listeners.size > 0) return;
    clearInterval(ticker.timer);
    ticker.timer = undefined;
  };
}

function read(every: number): number {
  const ticker = tickerOf(every);
  // A clock that stood still is set when somebody looks at it, and then stays for the whole pass.
  if (ticker.timer === undefined && Math.abs(Date.now() - ticker.now) > 1_000) ticker.now = Date.now();
  return ticker.now;
}

/** The present moment, told again every so many milliseconds. */
export function useNow(every: number): number {
  return useSyncExternalStore(
    (listener) => subscribe(every, listener),
    () => read(every),
  );
}
