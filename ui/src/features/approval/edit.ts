import { type RefObject, useRef, useState } from "react";

import type { ApprovalView } from "../../bindings/ApprovalView";
import { editDrafts } from "../inbox/drafts";
import { readArguments, sameData, shownJson } from "./json";

/** Arguments that can be changed before they are said yes to. */
export type Edit = {
  /** What is in the editor; `null` while nothing is being changed. */
  text: string | null;
  /** What is wrong with it, for people. */
  problem: string | null;
  /** What the tool is to be called with instead, if that is something else. */
  changed: Record<string, unknown> | undefined;
  field: RefObject<HTMLTextAreaElement | null>;
  begin: () => void;
  write: (text: string) => void;
  /** Back to what was asked. */
  reset: () => void;
};

/** What is being changed about the call that a question is about. It is bound to what was shown: another text, another start. */
export function useEdit(approval: ApprovalView | undefined): Edit {
  const hash = approval?.contentHash;
  const asked = approval?.call?.arguments;
  const field = useRef<HTMLTextAreaElement>(null);
  const [typed, setTyped] = useState<{ hash: string | undefined; text: string | null }>({ hash: undefined, text: null });
  const text = hash === undefined ? null : typed.hash === hash ? typed.text : (editDrafts.get(hash) ?? null);

  function write(next: string | null) {
    if (hash === undefined) return;
    setTyped({ hash, text: next });
    if (next === null) editDrafts.delete(hash);
    else editDrafts.set(hash, next);
  }

  const reading = text === null ? null : readArguments(text);
  return {
    text,
    problem: reading !== null && "problem" in reading ? reading.problem : null,
    changed: reading !== null && "value" in reading && !sameData(reading.value, asked) ? reading.value : undefined,
    field,
    begin: () => write(shownJson(asked)),
    write,
    reset: () => write(null),
  };
}
