import type { FlowImport } from "../bindings/FlowImport";
import { PlatformError } from "./platform";

/** No flow comes near this; the app refuses above 50 MiB anyway. */
const LARGEST = 50 * 1024 * 1024;

/** The flow's name as the file suggests it: Flowise writes `<name> Agents.json`; `deploy-gate.json` is "Deploy gate". */
export function flowNameOf(fileName: string): string {
  const name = fileName
    .replace(/\.json$/i, "")
    .replace(/ Agents( ?\(\d+\))?$/, "")
    .replace(/[-_]+/g, " ")
    .trim();
  return name === "" ? "Imported flow" : name.charAt(0).toUpperCase() + name.slice(1);
}

/** Reads a file that was chosen or dropped. What is in it is for the app to judge. */
export async function readFlowFile(file: File): Promise<FlowImport> {
  if (file.size > LARGEST) {
    throw new PlatformError("too-large", `${file.name} is larger than 50 MiB, so it is not a flow.`);
  }
  return { name: flowNameOf(file.name), flowData: await file.text() };
}

/** The browser's own dialog; `null` if it was closed without a choice. */
export function chooseFile(): Promise<File | null> {
  return new Promise((resolve) => {
    const input = document.createElement("input");
    input.type = "file";
    input.accept = ".json,application/json";
    input.addEventListener("change", () => resolve(input.files?.[0] ?? null), { once: true });
    input.addEventListener("cancel", () => resolve(null), { once: true });
    input.click();
  });
}
