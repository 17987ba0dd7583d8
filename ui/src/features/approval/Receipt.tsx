import type { ApprovalSummary } from "../../bindings/ApprovalSummary";
import { Icon } from "../../components/Icon";
import { Time } from "../../components/Time";
import styles from "./Receipt.module.css";
import { standingOf, surfaceWords } from "./words";

/** Who answered, how, when and from where. */
export function Receipt({ approval }: { approval: ApprovalSummary }) {
  const { decision, state } = approval;
  const tone = state === "approved" ? "yes" : state === "rejected" ? "no" : "plain";
  return (
    <div className={styles.receipt} data-tone={tone}>
      <p className={styles.line}>
        <span className={styles.word}>
          <Icon name={tone === "yes" ? "check" : tone === "no" ? "cross" : "undo"} />
          {standingOf(approval)}
        </span>
        {decision === null ? (
          <span>{state === "withdrawn" ? "The question was taken back before anybody answered." : "Nobody answered in time."}</span>
        ) : (
          <span>
            {decision.person !== null && <>by {decision.person}, </>}
            <Time at={decision.decidedAt} as="ago" />, {surfaceWords[decision.surface]}
          </span>
        )}
      </p>
      {decision?.feedback !== null && decision?.feedback !== undefined && decision.feedback !== "" && (
        <blockquote className={styles.note}>{decision.feedback}</blockquote>
      )}
    </div>
  );
}
