import { describe, expect, it } from "vitest";

import { flowNameOf, readFlowFile } from "./file";

describe("a flow's file", () => {
  it.each([
    ["Release gate Agents.json", "Release gate"],
    ["Release gate Agents (2).json", "Release gate"],
    ["deploy-gate.JSON", "Deploy gate"],
    ["two_gates.json", "Two gates"],
    ["Agents.json", "Agents"],
    [".json", "Imported flow"],
  ])("%s is called %s", (file, name) => {
    expect(flowNameOf(file)).toBe(name);
  });

  it("is read unchanged", async () => {
    const text = ' {"nodes":[] ,"edges":[]}\n';
    expect(await readFlowFile(new File([text], "a Agents.json"))).toEqual({ name: "A", flowData: text });
  });

  it("is refused before it is read if it is too large to be one", async () => {
    const file = new File(["x"], "big.json");
    Object.defineProperty(file, "size", { value: 51 * 1024 * 1024 });
    await expect(readFlowFile(file)).rejects.toMatchObject({ code: "too-large" });
  });
});
