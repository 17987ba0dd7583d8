/** The form that a flow starts with: what is typed, what is wrong with it, and what is sent. */

import type { FlowStart } from "../../bindings/FlowStart";
import type { FormFieldView } from "../../bindings/FormFieldView";
import type { FormView } from "../../bindings/FormView";

/** What is typed or chosen, by the names of the fields. */
export type Filled = Record<string, string | boolean>;

/** What was filled in and not sent, by flow, so that closing the form loses nothing. */
export const filledForms = new Map<string, Filled>();

function textOf(filled: Filled, name: string): string {
  const value = Object.hasOwn(filled, name) ? filled[name] : undefined;
  return typeof value === "string" ? value : "";
}

/** A number as people type it; `null` if it is none. */
function numberOf(text: string): number | null {
  const trimmed = text.trim();
  return /^[+-]?(\d+(\.\d+)?|\.\d+)$/.test(trimmed) ? Number(trimmed) : null;
}

/** What is wrong with a field, for people. */
export function problemOf(field: FormFieldView, filled: Filled): string | null {
  const text = textOf(filled, field.name);
  switch (field.type) {
    case "number": {
      if (text.trim() === "") return "Write a number.";
      const number = numberOf(text);
      if (number === null) return "Write a number, such as 3 or 2.5.";
      // What a longer one would become is not what was typed.
      return /^[+-]?\d+$/.test(text.trim()) && !Number.isSafeInteger(number) ? "This number is too long to be kept exactly." : null;
    }
    case "options":
      return field.options.includes(text) ? null : "Choose one.";
    case "string":
    case "boolean":
      return null;
  }
}

/** What is sent: every field, so that no reference of the flow stays without a value. */
export function startOfForm({ fields }: FormView, filled: Filled): FlowStart {
  const form = fields.map(({ name, type }): [string, string | number | boolean] => {
    if (type === "boolean") return [name, Object.hasOwn(filled, name) && filled[name] === true];
    const text = textOf(filled, name);
    return [name, type === "number" ? (numberOf(text) ?? 0) : text];
  });
  return { form: Object.fromEntries(form) };
}

/** What is typed into a field so far. */
export { textOf };
