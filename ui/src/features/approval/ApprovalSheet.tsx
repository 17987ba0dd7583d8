import type { ReactNode, Ref } from "react";

import type { ApprovalSummary } from "../../bindings/ApprovalSummary";
import type { ApprovalView } from "../../bindings/ApprovalView";
import { Banner } from "../../components/Banner";
import { Button } from "../../components/Button";
import { Chip } from "../../components/Chip";
import { MarkdownText } from "../../components/MarkdownText";
import { Chips, Sheet, SheetTitle } from "../../components/Split";
import { wordsOf } from "../../components/States";
import { Time } from "../../components/Time";
import { PART } from "./below";
import styles from "./ApprovalSheet.module.css";
import { CallCard } from "./CallCard";
import type { Edit } from "./edit";
import { NextCard } from "./Next";
import { SentCard } from "./Sent";

/** The parts of a question that lists do not have: on their way, here, or why they are not. */
function Rest({ approval, detail, failed }: { approval: ApprovalSummary; detail: ApprovalView | undefined; failed: Failed | null }) {
  if (detail === undefined && failed !== null) {
    return (
      <Banner tone="no" title="The rest of this question cannot be read" action={<Button onPress={failed.retry}>Try again</Button>}>
        {wordsOf(failed.error)}
      </Banner>
    );
  }
  return (
    <>
      <SentCard payload={detail?.payload} size={approval.payloadBytes} here={detail !== undefined} />
      {/* Nothing does, where no answer can be taken. */}
      {detail?.problem === undefined && (
        <div className={styles.part} tabIndex={-1} {...{ [PART]: "" }}>
          <NextCard approval={approval} detail={detail} />
        </div>
      )}
    </>
  );
}

/** Why something could not be read, and how to try again. */
export type Failed = { error: unknown; retry: () => void };

/** The sheet of one question: everything that is needed to answer it, or that there was. */
export function ApprovalSheet({
  approval,
  detail,
  failed = null,
  notice,
  receipt,
  after,
  titleRef,
  scrollRef,
  edit,
  onLeaveEdit,
}: {
  approval: ApprovalSummary;
  /** All of it, once it is here. */
  detail: ApprovalView | undefined;
  failed?: Failed | null;
  /** Something about the answer that was just tried. */
  notice?: ReactNode;
  /** The answer, once there is one. */
  receipt?: ReactNode;
  after?: ReactNode;
  titleRef?: Ref<HTMLHeadingElement>;
  scrollRef?: Ref<HTMLDivElement>;
  /** How the call that it is about can be changed, while it can. */
  edit?: Edit | undefined;
  onLeaveEdit?: (() => void) | undefined;
}) {
  return (
    <Sheet {...(scrollRef === undefined ? {} : { scrollRef })}>
      {notice}
      <Chips>
        <Chip>{approval.flowName}</Chip>
        {approval.signed ? (
          <Chip tone="yes" icon="check">
            Signed
          </Chip>
        ) : (
          <Chip icon="shield">Not signed</Chip>
        )}
        {approval.state === "pending" ? (
          <Chip icon="clock">
            <Time at={approval.createdAt} as="waiting" />
          </Chip>
        ) : (
          <Chip icon="clock">
            Asked <Time at={approval.createdAt} as="ago" />
          </Chip>
        )}
      </Chips>
      <SheetTitle {...(titleRef === undefined ? {} : { ref: titleRef })}>{approval.title}</SheetTitle>
      {approval.body.trim() !== "" && approval.body.trim() !== approval.title.trim() && (
        <MarkdownText text={approval.body} />
      )}
      {receipt}
      {detail?.call != null && <CallCard call={detail.call} decision={detail.decision} edit={edit} onLeave={onLeaveEdit} />}
      <Rest approval={approval} detail={detail} failed={failed} />
      {after}
    </Sheet>
  );
}
