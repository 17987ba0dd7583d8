import { describe, expect, it } from "vitest";

import { losesNumbers, readArguments, sameData, shownJson } from "./json";

describe("arguments as text", () => {
  it("show every character that could disguise another, and read back as they are", () => {
    const value = { "pay\u202eto": "a\u200bb\u0085\ufeff", note: "two\nlines\tß 🙂" };
    const text = shownJson(value);
    expect(text).not.toMatch(/[\u202e\u200b\u0085\ufeff]/);
    expect(text).toContain("pay\\u202eto");
    expect(readArguments(text)).toEqual({ value });
  });

  it.each([
    ["", "not valid JSON"],
    ['{"a": 1', "not valid JSON"],
    ["[1]", "JSON object"],
    ["null", "JSON object"],
    ['"{}"', "JSON object"],
    ['{"id": 12345678901234567890}', "too large"],
    ['{"a": [{"b": 1e999}]}', "too large"],
  ])("%j cannot be said yes to", (text, problem) => {
    expect(readArguments(text)).toEqual({ problem: expect.stringContaining(problem) as string });
  });

  it("are the same data in another order, and not where anything differs", () => {
    const value = { a: 1, b: [{ c: null }, "x"] };
    expect(sameData(value, { b: [{ c: null }, "x"], a: 1 })).toBe(true);
    for (const other of [{ a: 1 }, { ...value, d: undefined }, { a: "1", b: value.b }, { a: 1, b: ["x", { c: null }] }, { a: 1, b: { 0: { c: null }, 1: "x" } }, null]) {
      expect(sameData(value, other)).toBe(false);
    }
    expect(sameData({}, { ["toString"]: 1 })).toBe(false);
  });

  it("hold numbers that a browser keeps, or not", () => {
    expect(losesNumbers({ a: [1, -0.5, 2 ** 53 - 1, "12345678901234567890"] })).toBe(false);
    expect(losesNumbers({ a: [2 ** 53] })).toBe(true);
  });
});
