/** The words for flows. */

import type { FlowView } from "../../bindings/FlowView";
import type { Notice } from "../../components/Announcer";

/** How much of a flow will not work although it could be imported. */
export function problemsTitle({ problems }: FlowView): string {
  return problems.length === 1 ? "One thing will not work" : `${problems.length} things will not work`;
}

/** That a flow came in, and that something is amiss with it. */
export function takenIn(how: "Imported" | "Replaced", flow: FlowView): Omit<Notice, "id"> {
  const text = `${how} “${flow.name}”`;
  return flow.problems.length === 0
    ? { text, icon: "check", tone: "yes" }
    : { text: `${text}. ${problemsTitle(flow)}, see its page.`, icon: "warning", tone: "plain" };
}
