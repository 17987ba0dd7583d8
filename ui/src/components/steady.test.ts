import { act, renderHook } from "@testing-library/react";
import { describe, expect, it } from "vitest";

import { useSteadyList } from "./steady";

type Item = { id: string; text?: string };
const items = (...ids: string[]): Item[] => ids.map((id) => ({ id }));

function steady(first: Item[]) {
  const hook = renderHook(({ source, engaged }) => useSteadyList(source, engaged), {
    initialProps: { source: first, engaged: true },
  });
  const seen = () => ({
    rows: hook.result.current.rows.map(({ item, gone }) => (gone ? `(${item.id})` : item.id)).join(" "),
    fresh: hook.result.current.fresh.map(({ id }) => id).join(" "),
  });
  return { ...hook, seen };
}

describe("a list that holds still", () => {
  it("keeps new ones above it back until the eyes are elsewhere", () => {
    const list = steady(items("3", "2", "1"));
    list.rerender({ source: items("5", "4", "3", "2", "1"), engaged: true });
    expect(list.seen()).toEqual({ rows: "3 2 1", fresh: "5 4" });
    list.rerender({ source: items("5", "4", "3", "2", "1"), engaged: false });
    expect(list.seen()).toEqual({ rows: "5 4 3 2 1", fresh: "" });
  });

  it("leaves the place of one that went", () => {
    const list = steady(items("3", "2", "1"));
    list.rerender({ source: items("3", "1"), engaged: true });
    expect(list.seen()).toEqual({ rows: "3 (2) 1", fresh: "" });
    act(() => list.result.current.release());
    expect(list.seen()).toEqual({ rows: "3 1", fresh: "" });
  });

  it("goes on below with an older page at once", () => {
    const list = steady(items("3", "2"));
    list.rerender({ source: items("3", "2", "1", "0"), engaged: true });
    expect(list.seen()).toEqual({ rows: "3 2 1 0", fresh: "" });
  });

  it("tells new ones from older ones when both come together", () => {
    const list = steady(items("3", "2"));
    list.rerender({ source: items("4", "2", "1"), engaged: true });
    expect(list.seen()).toEqual({ rows: "(3) 2 1", fresh: "4" });
  });

  it("shows the first ones of an empty list at once", () => {
    const list = steady([]);
    list.rerender({ source: items("1"), engaged: true });
    expect(list.seen()).toEqual({ rows: "1", fresh: "" });
  });

  it("takes on what has changed inside a row", () => {
    const list = steady([{ id: "1", text: "old" }]);
    list.rerender({ source: [{ id: "1", text: "new" }], engaged: true });
    expect(list.result.current.rows[0]?.item.text).toBe("new");
  });
});
