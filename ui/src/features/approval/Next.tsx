import type { ApprovalSummary } from "../../bindings/ApprovalSummary";
import type { ApprovalView } from "../../bindings/ApprovalView";
import type { Outcome } from "../../bindings/Outcome";
import { Card } from "../../components/Card";
import { Icon } from "../../components/Icon";
import { LinesSkeleton } from "../../components/States";
import styles from "./Next.module.css";

function Steps({ steps }: { steps: string[] }) {
  if (steps.length === 0) return <p className={styles.nothing}>The flow ends.</p>;
  return (
    <ol>
      {steps.map((step, index) => (
        <li key={index}>{step}</li>
      ))}
    </ol>
  );
}

/** How a branch stands to the answer: taken by yes or by no, passed over, or still open. */
function branchOf(branch: Outcome, taken: Outcome | undefined): "yes" | "no" | "other" | undefined {
  if (taken === undefined) return undefined;
  if (branch !== taken) return "other";
  return taken === "approve" ? "yes" : "no";
}

/** What follows each answer; after the answer, what could have followed. */
export function NextCard({ approval, detail }: { approval: ApprovalSummary; detail: ApprovalView | undefined }) {
  const waits = approval.state === "pending";
  const taken = approval.decision?.outcome;
  return (
    <Card
      title={waits ? "What happens next" : "What each answer leads to"}
      aside={approval.nodeLabel !== "" && `after the step “${approval.nodeLabel}”`}
      flush
    >
      <div className={styles.next}>
        <div data-branch={branchOf("approve", taken)}>
          <h3 className={styles.yes}>
            <Icon name="check" size={14} />
            {waits ? "If you approve" : taken === "approve" ? "Approved" : "If approved"}
          </h3>
          {detail === undefined ? <LinesSkeleton lines={2} bare /> : <Steps steps={detail.ifApproved} />}
        </div>
        <div data-branch={branchOf("reject", taken)}>
          <h3 className={styles.no}>
            <Icon name="cross" size={14} />
            {waits ? "If you reject" : taken === "reject" ? "Rejected" : "If rejected"}
          </h3>
          {detail === undefined ? <LinesSkeleton lines={2} bare /> : <Steps steps={detail.ifRejected} />}
        </div>
      </div>
    </Card>
  );
}
