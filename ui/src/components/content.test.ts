import { describe, expect, it } from "vitest";

import { beginning, contentOfJson, contentOfText, contentOfValue, lineStarts } from "./content";

describe("the beginning of a value", () => {
  const values = [
    { a: 1, b: [true, null, "x\ny"], c: {}, d: [], "e f": { g: [[1], [2, { h: "ü😀" }]] } },
    [],
    {},
    [[]],
    "text",
    7,
    null,
    false,
  ];

  it("is what JSON.stringify writes, if there is room", () => {
    for (const value of values) expect(beginning(value, 10_000)).toEqual({ text: JSON.stringify(value, null, 2), whole: true });
  });

  it("is its start, if there is none", () => {
    for (const value of values) {
      const all = JSON.stringify(value, null, 2);
      for (let limit = 1; limit < all.length; limit += 1) {
        const { text, whole } = beginning(value, limit);
        expect(whole, `${all} within ${limit}`).toBe(false);
        expect(all.startsWith(text), `${text} begins ${all}`).toBe(true);
        expect(text.length).toBeGreaterThanOrEqual(limit - 1);
        expect(text, "no half letter").not.toMatch(/\p{Surrogate}/u);
      }
    }
  });

  it("reads no more of the value than it needs", () => {
    const value = [1, 2, 3];
    Object.defineProperty(value, 2, {
      get: () => {
        throw new Error("read too far");
      },
    });
    expect(beginning(value, 4).whole).toBe(false);
  });
});

describe("content", () => {
  it("has no rest if it is short", () => {
    expect(contentOfText("short", 5)).toEqual({ start: "short", whole: null, bytes: 0 });
    expect(contentOfValue({ a: 1 }, 100)).toEqual({ start: '{\n  "a": 1\n}', whole: null, bytes: 0 });
  });

  it("has its beginning, its length in bytes, and the rest on demand", () => {
    const text = contentOfText("üüüüü", 3);
    expect([text.start, text.bytes, text.whole?.()]).toEqual(["üüü", 10, "üüüüü"]);
    const value = contentOfValue([1, 2, 3], 5);
    expect([value.start, value.bytes, value.whole?.()]).toEqual(["[\n  1", 7, "[\n  1,\n  2,\n  3\n]"]);
  });

  it("shows JSON with its lines, other text as it is, and long JSON as it came until all of it is wanted", () => {
    expect(contentOfJson('{"a":1}', 100).start).toBe('{\n  "a": 1\n}');
    expect(contentOfJson("no json", 100).start).toBe("no json");
    const long = JSON.stringify({ log: "x".repeat(2_000_000) });
    const { start, whole, bytes } = contentOfJson(long, 20);
    expect([start, bytes]).toEqual([long.slice(0, 20), long.length]);
    expect(whole?.()).toBe(JSON.stringify(JSON.parse(long), null, 2));
  });
});

describe("lines", () => {
  const lines = (text: string, columns: number) => {
    const starts = lineStarts(text, columns);
    return starts.map((start, index) => text.slice(start, starts[index + 1]));
  };

  it("are broken where the text says and where they are too long", () => {
    expect(lines("abcdefg\nhi\n\nj", 3)).toEqual(["abc", "def", "g\n", "hi\n", "\n", "j"]);
    expect(lines("abc\n", 3)).toEqual(["abc\n", ""]);
    expect(lines("", 3)).toEqual([""]);
  });

  it("are broken behind a space, if there is one near the edge", () => {
    expect(lines("green are all", 6)).toEqual(["green ", "are ", "all"]);
    expect(lines("green are all", 9)).toEqual(["green are ", "all"]);
    expect(lines("green \nall", 5)).toEqual(["green \n", "all"]);
    expect(lines("a bcdefghijkl", 6)).toEqual(["a bcde", "fghijk", "l"]);
  });

  it("are not broken within a letter, and lose nothing", () => {
    expect(lines("a😀b😀", 2)).toEqual(["a", "😀", "b", "😀"]);
    const text = "ab😀\n".repeat(500) + "😀".repeat(500);
    for (const columns of [2, 3, 7]) {
      expect(lines(text, columns).join("")).toBe(text);
      expect(lines(text, columns).some((line) => /\p{Surrogate}/u.test(line)), "half a letter").toBe(false);
    }
  });
});
