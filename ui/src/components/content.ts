/** Data of any length, so that a page can show its beginning without reading all of it. */

import { byteLength } from "./size";

/** The beginning of something, and how to get the rest of it. */
export type Content = {
  start: string;
  /** Makes the whole text. `null` if `start` is all there is. */
  whole: (() => string) | null;
  /** How long the whole is, in bytes of UTF-8. Only worked out if `start` is not all of it. */
  bytes: number;
};

/** JSON text above this length is shown as it came, until somebody wants all of it: reading it takes too long. */
const PARSED = 1_000_000;

/** The beginning of a value as JSON with its lines. Printing ends where there is enough. */
export function beginning(value: unknown, limit: number): { text: string; whole: boolean } {
  let text = "";
  function add(part: string): boolean {
    text += part;
    return text.length <= limit;
  }
  function print(part: unknown, indent: string): boolean {
    if (typeof part === "string") return add(JSON.stringify(part.length > limit ? part.slice(0, limit) : part));
    if (typeof part !== "object" || part === null) return add(part === undefined ? "null" : JSON.stringify(part));
    const list = Array.isArray(part);
    const inner = `${indent}  `;
    let first = true;
    for (const key of list ? part.keys() : Object.keys(part)) {
      const name = list ? "" : `${JSON.stringify(key)}: `;
      if (!add(`${first ? (list ? "[" : "{") : ","}\n${inner}${name}`)) return false;
      if (!print((part as Record<string | number, unknown>)[key], inner)) return false;
      first = false;
    }
    return add(first ? (list ? "[]" : "{}") : `\n${indent}${list ? "]" : "}"}`);
  }
  const whole = print(value, "");
  return { text: whole ? text : upTo(text, limit), whole };
}

/** The first so many letters, without half a letter at the end. */
function upTo(text: string, limit: number): string {
  const last = text.charCodeAt(limit - 1);
  return text.slice(0, last >= 0xd800 && last < 0xdc00 ? limit - 1 : limit);
}

export function contentOfText(text: string, limit: number): Content {
  return text.length <= limit
    ? { start: text, whole: null, bytes: 0 }
    : { start: upTo(text, limit), whole: () => text, bytes: byteLength(text) };
}

/** A value: texts as they are, the rest as JSON with its lines. */
export function contentOfValue(value: unknown, limit: number): Content {
  if (typeof value === "string") return contentOfText(value, limit);
  const { text, whole } = beginning(value, limit);
  return whole
    ? { start: text, whole: null, bytes: 0 }
    : { start: text, whole: () => JSON.stringify(value, null, 2), bytes: byteLength(JSON.stringify(value)) };
}

/** JSON text with its lines, or the text as it is if it is no JSON. */
export function prettyJson(text: string): string {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

/** JSON text, shown with its lines. */
export function contentOfJson(text: string, limit: number): Content {
  const start = text.length > PARSED ? text : prettyJson(text);
  return start.length <= limit
    ? { start, whole: null, bytes: 0 }
    : { start: upTo(start, limit), whole: () => prettyJson(text), bytes: byteLength(text) };
}

/** Where a line that is too long is best broken: behind its last space, if that leaves at least half of it. */
function breakOf(text: string, from: number, columns: number): number {
  // The space itself may stand beyond the edge.
  for (let at = from + columns; at >= from + columns / 2; at -= 1) if (text.charCodeAt(at) === 0x20) return at + 1;
  const last = text.charCodeAt(from + columns - 1);
  return from + (last >= 0xd800 && last < 0xdc00 && columns > 1 ? columns - 1 : columns);
}

/** Where the lines of a text begin if each is at most so many letters long. A line never begins within a letter. */
export function lineStarts(text: string, columns: number): number[] {
  const starts: number[] = [];
  let from = 0;
  for (;;) {
    const newline = text.indexOf("\n", from);
    const end = newline === -1 ? text.length : newline;
    starts.push(from);
    while (end - from > columns) {
      from = breakOf(text, from, columns);
      // A space beyond the edge is no line.
      if (from < end) starts.push(from);
    }
    if (newline === -1) return starts;
    from = newline + 1;
  }
}
