import type { ReactNode, Ref } from "react";

import type { ApprovalView } from "../../bindings/ApprovalView";
import { Chip } from "../../components/Chip";
import { MarkdownText } from "../../components/MarkdownText";
import { Chips, Sheet, SheetTitle } from "../../components/Split";
import { Time } from "../../components/Time";
import { NextCard } from "./Next";
import { SentCard } from "./Sent";

/** The sheet of one question: everything that is needed to answer it, or that there was. */
export function ApprovalSheet({
  approval,
  notice,
  receipt,
  after,
  titleRef,
  scrollRef,
}: {
  approval: ApprovalView;
  /** Something about the answer that was just tried. */
  notice?: ReactNode;
  /** The answer, once there is one. */
  receipt?: ReactNode;
  after?: ReactNode;
  titleRef?: Ref<HTMLHeadingElement>;
  scrollRef?: Ref<HTMLDivElement>;
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
      <SentCard payload={approval.payload} />
      <NextCard approval={approval} />
      {after}
    </Sheet>
  );
}
