import { expect, it } from "vitest";

import { pause, planText, readPlan } from "./plan";

it("writes each pause so that it is exact", () => {
  expect([0, 45, 60, 90, 3600, 5400, 86_400, 90_000, 604_800].map(pause)).toEqual([
    "0 s",
    "45 s",
    "1 min",
    "90 s",
    "1 h",
    "90 min",
    "1 d",
    "25 h",
    "7 d",
  ]);
});

it("reads what it wrote, and what people write", () => {
  const seconds = [0, 3, 6, 30, 120, 600, 3600, 7200, 18_000, 36_000, 36_000];
  expect(readPlan(planText(seconds))).toEqual({ seconds });
  expect(readPlan("0; 90\n2 Minutes, 1h30min,1 day")).toEqual({ seconds: [0, 90, 120, 5400, 86_400] });
  expect(readPlan("7 d")).toEqual({ seconds: [604_800] });
  expect(readPlan(Array.from({ length: 50 }, () => "1 s").join())).toHaveProperty("seconds.length", 50);
});

it.each([
  ["", /at least one/],
  [" , ,", /at least one/],
  [Array.from({ length: 51 }, () => "1").join(), /51 durations; 50 at most/],
  ["604801", /“604801” is too long/],
  ["7 d 1 s", /too long/],
  ["-5 s", /“-5 s” is no duration/],
  ["1.5 h", /“1.5 h” is no duration/],
  ["5 60", /“5 60” is no duration/],
  ["3 weeks", /no duration/],
  ["s", /no duration/],
  ["1e3", /no duration/],
  ["99999999999999999999999", /too long/],
])("says what is wrong with %j", (text, problem) => {
  expect(readPlan(text)).toEqual({ problem: expect.stringMatching(problem) as string });
});
