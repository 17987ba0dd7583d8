/** Arguments of a tool as text: what is read there is exactly what they are. */

/** Characters that hide or disguise others: control characters, direction marks, invisible ones. */
const DISGUISING = /(?!\n)[\p{Cc}\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]/gu;

/** A value as JSON with its lines; what could disguise it is escaped. */
export function shownJson(value: unknown): string {
  return JSON.stringify(value, null, 2).replace(DISGUISING, (letter) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Whether two values are the same data; the order of names means nothing. */
export function sameData(one: unknown, other: unknown): boolean {
  if (Object.is(one, other)) return true;
  if (Array.isArray(one) && Array.isArray(other)) {
    return one.length === other.length && one.every((item, index) => sameData(item, other[index]));
  }
  if (!isObject(one) || !isObject(other)) return false;
  const names = Object.keys(one);
  return names.length === Object.keys(other).length && names.every((name) => Object.hasOwn(other, name) && sameData(one[name], other[name]));
}

/** Whether a value holds an integer that a browser cannot keep exactly. */
export function losesNumbers(value: unknown): boolean {
  if (typeof value === "number") return Number.isInteger(value) ? !Number.isSafeInteger(value) : !Number.isFinite(value);
  return typeof value === "object" && value !== null && Object.values(value).some(losesNumbers);
}

export type Reading = { value: Record<string, unknown> } | { problem: string };

/** Reads what a person has typed. */
export function readArguments(text: string): Reading {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    return { problem: `This is not valid JSON yet: ${error instanceof Error ? error.message : String(error)}` };
  }
  if (!isObject(value)) return { problem: "The arguments have to be a JSON object: { … }." };
  if (losesNumbers(value)) return { problem: "It holds a number that is too large to be kept exactly. Write it as a text, in quotation marks." };
  return { value };
}
