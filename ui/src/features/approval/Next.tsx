import type { ApprovalSummary } from "../../bindings/ApprovalSummary";
import type { ApprovalView } from "../../bindings/ApprovalView";
import { Card } from "../../components/Card";
import { Icon } from "../../components/Icon";
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

export function nextTitle({ state }: ApprovalSummary): string {
  return state === "pending" ? "What happens next" : "What each answer leads to";
}

export function afterStep({ nodeLabel }: ApprovalSummary): string | false {
  return nodeLabel !== "" && `after the step “${nodeLabel}”`;
}

/** What follows each answer; after the answer, what could have followed. */
export function NextCard({ approval }: { approval: ApprovalView }) {
  const waits = approval.state === "pending";
  const taken = approval.decision?.outcome;
  return (
    <Card title={nextTitle(approval)} aside={afterStep(approval)} flush>
      <div className={styles.next}>
        <div className={taken === "approve" ? styles.taken : undefined}>
          <h3 className={styles.yes}>
            <Icon name="check" size={14} />
            {waits ? "If you approve" : taken === "approve" ? "Approved" : "If approved"}
          </h3>
          <Steps steps={approval.ifApproved} />
        </div>
        <div className={taken === "reject" ? styles.taken : undefined}>
          <h3 className={styles.no}>
            <Icon name="cross" size={14} />
            {waits ? "If you reject" : taken === "reject" ? "Rejected" : "If rejected"}
          </h3>
          <Steps steps={approval.ifRejected} />
        </div>
      </div>
    </Card>
  );
}
