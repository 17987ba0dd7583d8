import { useQueryClient } from "@tanstack/react-query";
import { type RefObject, useRef, useState } from "react";

import type { ApprovalSummary } from "../../bindings/ApprovalSummary";
import type { ApprovalView } from "../../bindings/ApprovalView";
import type { Outcome } from "../../bindings/Outcome";
import { notify } from "../../components/Announcer";
import { Banner } from "../../components/Banner";
import { Button } from "../../components/Button";
import { DetailSkeleton, Empty, Failure, wordsOf } from "../../components/States";
import { keys, useApproval, useStatus } from "../../data/queries";
import { settle } from "../../data/live";
import { useKeys } from "../../keys/keys";
import { usePlatform } from "../../platform/context";
import { PlatformError } from "../../platform/platform";
import { useConnection } from "../../shell/connection";
import { reducedMotion } from "../../shell/media";
import { go, href } from "../../shell/router";
import { useBelow } from "../approval/below";
import { AnswerBar } from "../approval/AnswerBar";
import { useEdit } from "../approval/edit";
import { losesNumbers } from "../approval/json";
import { ApprovalSheet } from "../approval/ApprovalSheet";
import { Receipt } from "../approval/Receipt";
import { TakeBack, TakeBackButton } from "../approval/TakeBack";
import { decidedWords, standingOf } from "../approval/words";
import { drafts, editDrafts } from "./drafts";
import type { Guard } from "./guard";
import styles from "./Inbox.module.css";

/** The next question's id; `null` if none waits. */
export type Next = string | null;

/** How long an answered row takes to leave. The same figure is `--duration`. */
const LEAVE_MS = 140;

/** What is said of a question that waits while nothing can go on after an answer. */
const LOST = "The run behind this question is lost";

type Trouble = { tone: "warn" | "no"; title: string; text: string };

export function InboxDetail({
  id,
  summary,
  titleRef,
  guard,
  next,
  onBusy,
  onLeaving,
  onNext,
  onSettled,
  onLeaveNote,
}: {
  id: string;
  /** What the list knows of it, which is shown until the rest is here. */
  summary: ApprovalSummary | undefined;
  titleRef: RefObject<HTMLHeadingElement | null>;
  guard: Guard;
  next: Next;
  onBusy: (busy: boolean) => void;
  onLeaving: (id: string | null) => void;
  onNext: (next: Next) => void;
  onSettled: () => void;
  onLeaveNote: () => void;
}) {
  const platform = usePlatform();
  const client = useQueryClient();
  const query = useApproval(id);
  const connected = useConnection();
  const status = useStatus();
  // The server takes no answer then: it could not keep it.
  const stored = (status.data?.storageProblem ?? null) === null;
  const below = useBelow();
  const [note, setNote] = useState(() => drafts.get(id) ?? "");
  const [busy, setBusy] = useState(false);
  const [trouble, setTrouble] = useState<Trouble | null>(null);
  const noteField = useRef<HTMLTextAreaElement>(null);
  const approval = query.data;
  // Only what is shown in full can be answered.
  const waits = approval?.state === "pending";
  // Its run is lost: it waits, but no answer can be taken.
  const lost = waits ? approval.problem : undefined;
  const shown = approval ?? summary;
  const edit = useEdit(approval);

  // A browser that cannot keep a number must not send another one instead.
  const editable = waits && lost === undefined && approval.call !== null && !losesNumbers(approval.call.arguments);

  function changeNote(text: string) {
    setNote(text);
    if (text === "") drafts.delete(id);
    else drafts.set(id, text);
  }

  function setWorking(working: boolean) {
    setBusy(working);
    onBusy(working);
  }

  async function answer(outcome: Outcome) {
    if (approval === undefined || !waits || lost !== undefined || busy || !connected || !stored || !guard.open()) return;
    if (outcome === "approve" && edit.problem !== null) {
      edit.field.current?.focus();
      return;
    }
    const then = next;
    const feedback = approval.feedbackEnabled ? note.trim() : "";
    setWorking(true);
    setTrouble(null);
    try {
      const decided = await platform.decideApproval(approval.id, {
        outcome,
        contentHash: approval.contentHash,
        ...(feedback === "" ? {} : { feedback }),
        ...(outcome === "approve" && edit.changed !== undefined ? { arguments: edit.changed } : {}),
      });
      drafts.delete(id);
      editDrafts.delete(approval.contentHash);
      leave(decided, then);
    } catch (error) {
      setWorking(false);
      await explain(error, outcome);
    }
  }

  /** The row goes, the next question comes. */
  function leave(decided: ApprovalView, then: Next) {
    notify({
      text: `You ${standingOf(decided).toLowerCase()}: ${decided.title}`,
      icon: decided.state === "approved" ? "check" : "cross",
      tone: decided.state === "approved" ? "yes" : "no",
      href: href("history", decided.id),
      link: "Show",
    });
    onLeaving(decided.id);
    onNext(then);
    setTimeout(
      () => {
        onLeaving(null);
        onBusy(false);
        settle(client, decided);
        onSettled();
      },
      reducedMotion() ? 0 : LEAVE_MS,
    );
  }

  /** Says kindly what stood in the way of the answer. */
  async function explain(error: unknown, outcome: Outcome) {
    const code = error instanceof PlatformError ? error.code : "internal";
    if (code === "already-decided" || code === "not-waiting") {
      const known = error instanceof PlatformError ? error.approval : undefined;
      const now = known ?? (await platform.getApproval(id).catch(() => null));
      const text = now === null ? wordsOf(error) : `${decidedWords(now, Date.now())}.`;
      setTrouble({
        tone: "warn",
        title: now?.decision === null ? "This question does not wait any more" : "Somebody was first",
        text: `${text} Your answer, ${outcome}, changed nothing.`,
      });
      if (now !== null) settle(client, now);
      return;
    }
    if (code === "content-changed") {
      setTrouble({
        tone: "warn",
        title: "The question has changed",
        text: "What was shown is not what waits now, so nothing was decided. Read it again, then answer.",
      });
      await client.invalidateQueries({ queryKey: keys.approval(id) });
      return;
    }
    if (code === "run-lost") {
      setTrouble({ tone: "no", title: LOST, text: wordsOf(error) });
      await client.invalidateQueries({ queryKey: keys.approval(id) });
      return;
    }
    if (code === "invalid") {
      setTrouble({ tone: "no", title: "Your answer was not taken", text: wordsOf(error) });
      return;
    }
    setTrouble({
      tone: "no",
      title: "Your answer did not arrive",
      text: `${wordsOf(error)} The question still waits and your note is kept. Try again.`,
    });
  }

  useKeys({
    a: (event) => {
      if (!waits || lost !== undefined) return false;
      if (!event.repeat) void answer("approve");
      return true;
    },
    r: (event) => {
      if (!waits || lost !== undefined) return false;
      if (!event.repeat) void answer("reject");
      return true;
    },
    e: () => {
      if (!editable) return false;
      if (edit.text === null) edit.begin();
      else edit.field.current?.focus();
      return true;
    },
    n: () => {
      if (noteField.current === null) return false;
      noteField.current.focus();
      return true;
    },
  });

  const gone = query.error instanceof PlatformError && query.error.code === "not-found";
  if (shown === undefined || (approval === undefined && gone)) {
    if (gone) {
      return (
        <Empty
          icon="inbox"
          level="h1"
          title="This question is not here"
          action={<Button onPress={() => go("history")}>Look in History</Button>}
        >
          It may have been answered or taken back.
        </Empty>
      );
    }
    if (query.isError) {
      return <Failure level="h1" title="The question cannot be read" error={query.error} retry={() => void query.refetch()} />;
    }
    return <DetailSkeleton />;
  }

  // While the answer is on its way the event of it may come first; the sheet holds still until it leaves.
  const asks = shown.state === "pending" || busy;
  const failed = approval === undefined && query.isError;
  const said = trouble ?? (lost === undefined ? null : { tone: "no" as const, title: LOST, text: lost });

  return (
    <>
      <ApprovalSheet
        approval={shown}
        detail={approval}
        failed={failed ? { error: query.error, retry: () => void query.refetch() } : null}
        titleRef={titleRef}
        scrollRef={below.ref}
        edit={waits && lost === undefined ? edit : undefined}
        onLeaveEdit={onLeaveNote}
        notice={
          said !== null && (
            <Banner tone={said.tone} title={said.title}>
              {said.text}
            </Banner>
          )
        }
        receipt={!asks && <Receipt approval={shown} />}
        after={waits && lost === undefined && <TakeBack approval={approval} disabled={busy || !connected || !stored} />}
      />
      {approval !== undefined && lost !== undefined ? (
        <div className={styles.decided}>
          <span>No answer can be taken, but the question can be taken back.</span>
          <TakeBackButton approval={approval} disabled={busy || !connected || !stored} size="answer" />
        </div>
      ) : asks ? (
        <AnswerBar
          noteAllowed={shown.feedbackEnabled}
          note={note}
          onNote={changeNote}
          noteRef={noteField}
          onAnswer={(outcome) => void answer(outcome)}
          onLeave={onLeaveNote}
          busy={busy}
          ready={approval !== undefined}
          edited={edit.changed !== undefined}
          flawed={edit.problem !== null}
          unavailable={
            !connected
              ? "No answer can be given until Countersign can be reached again."
              : !stored
                ? "Answers can be given once the storage works again."
                : failed
                  ? "It can be answered once all of it can be read."
                  : null
          }
          below={below}
        />
      ) : (
        <div className={styles.decided}>
          <span>{shown.decision === null ? "Nobody can answer this question any more." : "This question has its answer."}</span>
          {next === null ? (
            <Button onPress={() => go("history", id)}>Show in History</Button>
          ) : (
            <Button onPress={() => onNext(next)}>Next question</Button>
          )}
        </div>
      )}
    </>
  );
}
