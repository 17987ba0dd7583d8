import { describe, expect, it } from "vitest";

import { href, parse } from "./router";

describe("places", () => {
  it.each([
    ["", "inbox", undefined],
    ["#", "inbox", undefined],
    ["#/nowhere/1", "inbox", undefined],
    ["#/flows", "flows", undefined],
    ["#/flows/", "flows", undefined],
    ["#/inbox/a%2Fb", "inbox", "a/b"],
    ["#/inbox/%E0%A4%A", "inbox", "%E0%A4%A"],
  ])("%s is %s", (hash, page, id) => {
    expect(parse(hash)).toEqual({ page, id });
  });

  it("come back from their address", () => {
    expect(parse(href("callbacks", "ä/?#"))).toEqual({ page: "callbacks", id: "ä/?#" });
  });
});
