import { act, renderHook } from "@testing-library/react";
import { describe, expect, it, vi } from "vitest";

import { ago, ahead, ordinal, span, took, useNow, waited, waiting } from "./time";

const now = Date.parse("2026-11-24T12:00:00.000Z");
const second = 1000;
const minute = 60 * second;
const hour = 60 * minute;

describe("times in words", () => {
  it.each([
    [84, "0.1 s"],
    [3_100, "3.1 s"],
    [59 * second, "59 s"],
    [60 * second, "1 min"],
    [59 * minute + 59 * second, "59 min"],
    [hour, "1 h"],
    [24 * hour, "1 day"],
    [50 * hour, "2 days"],
    [-5, "0 s"],
  ])("a span of %d ms is %s", (length, words) => {
    expect(span(length)).toBe(words);
  });

  it("tells the past, and a clock that runs behind is not the future", () => {
    expect(ago(now - 3 * minute, now)).toBe("3 min ago");
    expect(ago(now + 2 * second, now)).toBe("just now");
  });

  it("tells what comes, and what is due is now", () => {
    expect(ahead(now + 40 * second, now)).toBe("in 40 s");
    expect(ahead(now + 40 * second + 1, now), "never sooner than it is").toBe("in 41 s");
    expect(ahead(now - minute, now)).toBe("now");
  });

  it("tells how long a question has waited", () => {
    expect(waited(now - 30 * second, now)).toBe("now");
    expect(waited(now - 18 * minute, now)).toBe("18 min");
    expect(waiting(now - 30 * second, now)).toBe("Just asked");
    expect(waiting(now - 18 * minute, now)).toBe("Waiting 18 min");
  });

  it("tells how long something took", () => {
    expect(took(84)).toBe("84 ms");
    expect(took(3_100)).toBe("3.1 s");
  });

  it.each([
    [1, "1st"],
    [2, "2nd"],
    [3, "3rd"],
    [4, "4th"],
    [11, "11th"],
    [12, "12th"],
    [21, "21st"],
    [112, "112th"],
  ])("the ordinal of %d is %s", (number, words) => {
    expect(ordinal(number)).toBe(words);
  });
});

describe("the present moment", () => {
  it("moves for all who listen, and stands still for nobody else", () => {
    vi.useFakeTimers({ now });
    const first = renderHook(() => useNow(10_000));
    expect(first.result.current).toBe(now);
    act(() => void vi.advanceTimersByTime(9_000));
    const second = renderHook(() => useNow(10_000));
    expect(second.result.current, "the same for one who comes later").toBe(now);
    act(() => void vi.advanceTimersByTime(1_000));
    expect([first.result.current, second.result.current]).toEqual([now + 10_000, now + 10_000]);
    first.unmount();
    second.unmount();
    expect(vi.getTimerCount(), "no clock ticks for nobody").toBe(0);
    vi.advanceTimersByTime(hour);
    expect(renderHook(() => useNow(10_000)).result.current, "and it is right for the next").toBe(now + 10_000 + hour);
  });
});
