import { useQueryClient } from "@tanstack/react-query";
import { useMemo, useState } from "react";

import type { Attempt } from "../../bindings/Attempt";
import type { CallbackState } from "../../bindings/CallbackState";
import type { CallbackSummary } from "../../bindings/CallbackSummary";
import { announce } from "../../components/Announcer";
import { Banner } from "../../components/Banner";
import { Button } from "../../components/Button";
import { Card } from "../../components/Card";
import { Chip } from "../../components/Chip";
import { LongCode } from "../../components/Code";
import { contentOfJson } from "../../components/content";
import { CopyButton } from "../../components/CopyButton";
import { Choice } from "../../components/Field";
import { Icon } from "../../components/Icon";
import { type Row, Rows } from "../../components/Rows";
import { bytes } from "../../components/size";
import { Chips, ListBar, ListGroup, Sheet, SheetTitle, Split } from "../../components/Split";
import { DetailSkeleton, Empty, Failure, LinesSkeleton, RowsSkeleton, wordsOf } from "../../components/States";
import { Time } from "../../components/Time";
import { took } from "../../components/time";
import { keys, useCallbacks, useCallbacksAhead, useCallbackView } from "../../data/queries";
import { aroundOf } from "../../data/summary";
import { useKeys } from "../../keys/keys";
import { usePlatform } from "../../platform/context";
import { PlatformError } from "../../platform/platform";
import { useConnection } from "../../shell/connection";
import { useSideBySide } from "../../shell/media";
import { go, useRoute } from "../../shell/router";
import styles from "./Callbacks.module.css";
import { CallbackChip, delivered, ended, failing, hostOf, kindWords, outcomeWords, reportWords } from "./words";

/** Of what is sent, so many letters are shown first. */
const HUGE = 20_000;
/** From this size on it is said how much is sent, in bytes. */
const WORTH_SAYING = 10_000;

function Result({ attempt }: { attempt: Attempt }) {
  if (!ended(attempt)) return <span className={styles.result}>Under way, or interrupted</span>;
  const good = delivered(attempt);
  return (
    <span className={styles.result} data-tone={good ? "yes" : "no"}>
      <Icon name={good ? "check" : "cross"} size={13} />
      {typeof attempt.status === "number" ? attempt.status : "No answer"}
    </span>
  );
}

function Attempts({ callback }: { callback: CallbackSummary }) {
  return (
    <Card
      title="Attempts"
      flush
      aside={
        callback.nextAttemptAt !== null &&
        !callback.behindEarlier && (
          <span>
            Next try <Time at={callback.nextAttemptAt} as="ahead" />
          </span>
        )
      }
    >
      {callback.attempts.length === 0 ? (
        <p className={styles.none}>
          {callback.behindEarlier
            ? "Not sent yet: messages of one run leave in order, and one before this is still on its way."
            : "Not sent yet."}
        </p>
      ) : (
        <div className={styles.scroll} tabIndex={0} role="region" aria-label="Table of attempts">
          <table className={styles.attempts}>
            <thead>
              <tr>
                <th scope="col">Try</th>
                <th scope="col">When</th>
                <th scope="col">Status</th>
                <th scope="col">Took</th>
                <th scope="col">What happened</th>
              </tr>
            </thead>
            <tbody>
              {[...callback.attempts].reverse().map((attempt) => (
                <tr key={attempt.number}>
                  <td>
                    {attempt.number}
                    {attempt.trigger === "manual" && " (by hand)"}
                  </td>
                  <td>
                    <Time at={attempt.startedAt} as="ago" />
                  </td>
                  <td>
                    <Result attempt={attempt} />
                  </td>
                  <td>
                    {typeof attempt.endedAt === "string"
                      ? took(Date.parse(attempt.endedAt) - Date.parse(attempt.startedAt))
                      : "–"}
                  </td>
                  <td className={styles.why}>
                    {attempt.error ?? (delivered(attempt) ? "Taken" : "")}
                    {typeof attempt.response === "string" && attempt.response !== "" && (
                      <span className={styles.answer} tabIndex={0} role="group" aria-label="Answer of the receiver">
                        {attempt.response}
                      </span>
                    )}
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </Card>
  );
}

/** What is sent: on its way, here, or why it is not. */
function Body({ callback, body, failed, retry }: { callback: CallbackSummary; body: string | undefined; failed: unknown; retry: () => void }) {
  const content = useMemo(() => (body === undefined ? null : contentOfJson(body, HUGE)), [body]);
  return (
    <Card
      title="What is sent"
      flush
      aside={
        <>
          {callback.bodyBytes >= WORTH_SAYING && bytes(callback.bodyBytes)}
          {body !== undefined && <CopyButton text={body} label="Copy" name="Copy body" />}
        </>
      }
    >
      {content !== null ? (
        <LongCode label="Body" content={content} />
      ) : failed !== null ? (
        <div className={styles.failed} role="alert">
          <span>It cannot be read: {wordsOf(failed)}</span>
          <Button size="small" onPress={retry}>
            Try again
          </Button>
        </div>
      ) : (
        <LinesSkeleton lines={callback.bodyBytes < 200 ? 4 : 9} />
      )}
    </Card>
  );
}

function CallbackDetail({ id, summary }: { id: string; summary: CallbackSummary | undefined }) {
  const platform = usePlatform();
  const client = useQueryClient();
  const connected = useConnection();
  const query = useCallbackView(id);
  const [busy, setBusy] = useState(false);
  const [failed, setFailed] = useState<unknown>(null);

  async function sendAgain() {
    setBusy(true);
    setFailed(null);
    try {
      const callback = await platform.redeliverCallback(id);
      client.setQueryData(keys.callback(id), callback);
      void client.invalidateQueries({ queryKey: keys.allCallbacks });
      announce(outcomeWords(callback));
    } catch (error) {
      setFailed(error);
    } finally {
      setBusy(false);
    }
  }

  const retry = () => void query.refetch();
  const callback = query.data ?? summary;
  const gone = query.error instanceof PlatformError && query.error.code === "not-found";
  if (callback === undefined || (query.data === undefined && gone)) {
    return query.isError ? (
      <Failure title={gone ? "This callback is not here" : "This callback cannot be read"} error={query.error} retry={retry} />
    ) : (
      <DetailSkeleton />
    );
  }
  return (
    <Sheet>
      <Chips>
        <CallbackChip callback={callback} />
        <Chip>{callback.flowName}</Chip>
        {callback.urlSource === "caller" && <Chip icon="link">Address named by the caller</Chip>}
      </Chips>
      <div className={styles.head}>
        <div>
          <SheetTitle>{kindWords[callback.kind]}</SheetTitle>
          <p className={styles.url}>POST {callback.url}</p>
        </div>
        <Button icon="send" isDisabled={busy || !connected} onPress={() => void sendAgain()}>
          {busy ? "Sending" : "Send again"}
        </Button>
      </div>
      {failed !== null && (
        <Banner tone="no" title="It was not sent">
          {wordsOf(failed)}
        </Banner>
      )}
      <p className={styles.sentence}>
        {outcomeWords(callback)}
        {callback.nextAttemptAt !== null && !callback.behindEarlier && (
          <>
            ; next try <Time at={callback.nextAttemptAt} as="ahead" />
          </>
        )}
        .{callback.state === "abandoned" && " It is kept, and can be sent again by hand."}
      </p>
      <Attempts callback={callback} />
      <Body callback={callback} body={query.data?.body} failed={query.data === undefined ? query.error : null} retry={retry} />
      <Card title="Details">
        <dl className={styles.facts}>
          <dt>webhook-id</dt>
          <dd>
            <code>{callback.id}</code>
          </dd>
          <dt>Run</dt>
          <dd>
            <code>{callback.executionId}</code>
          </dd>
          <dt>Chat</dt>
          <dd>
            <code>{callback.chatId}</code>
          </dd>
          <dt>Written</dt>
          <dd>
            <Time at={callback.createdAt} as="ago" />
          </dd>
        </dl>
      </Card>
    </Sheet>
  );
}

const filters: { value: CallbackState | "all"; label: string }[] = [
  { value: "all", label: "All" },
  { value: "waiting", label: "Waiting" },
  { value: "delivered", label: "Delivered" },
  { value: "abandoned", label: "Given up" },
];

export function CallbacksPage() {
  const { id } = useRoute();
  const sideBySide = useSideBySide();
  const [filter, setFilter] = useState<CallbackState | "all">("all");
  const callbacks = useCallbacks(filter);
  const all = useMemo(() => callbacks.data?.pages.flatMap((page) => page.callbacks) ?? [], [callbacks.data]);
  const failingCount = callbacks.data?.pages.at(0)?.failing ?? 0;
  const [givenUp] = useCallbacks("abandoned").data?.pages ?? [];
  const amiss = [
    failingCount > 0 && `${failingCount.toLocaleString("en")} failing`,
    // They are counted as far as a page goes.
    givenUp !== undefined && givenUp.callbacks.length > 0 && `${givenUp.callbacks.length}${givenUp.next === null ? "" : "+"} given up`,
  ].filter((words) => words !== false);
  const shown = id ?? (sideBySide ? all[0]?.id : undefined);
  const [focused, setFocused] = useState<string>();
  useCallbacksAhead(shown === undefined ? all.filter((one) => one.id === focused) : aroundOf(all, shown));

  const rows: Row[] = useMemo(
    () =>
      all.map((callback) => ({
        id: callback.id,
        main: reportWords(callback),
        text: `${reportWords(callback)}, ${hostOf(callback.url)}`,
        sub: (
          <>
            {hostOf(callback.url)} · <Time at={callback.createdAt} as="ago" />
          </>
        ),
        side:
          callback.state === "delivered" ? (
            "Delivered"
          ) : callback.state === "abandoned" ? (
            "Given up"
          ) : callback.behindEarlier ? (
            "Waits for the one before"
          ) : callback.nextAttemptAt !== null ? (
            <>
              Try <Time at={callback.nextAttemptAt} as="ahead" />
            </>
          ) : (
            "Waiting"
          ),
        tone:
          callback.state === "delivered" ? "yes" : callback.state === "abandoned" ? "no" : failing(callback) ? "warn" : undefined,
      })),
    [all],
  );

  useKeys({
    Escape: () => {
      if (sideBySide || id === undefined) return false;
      go("callbacks");
      return true;
    },
  });

  const instead = callbacks.isError ? (
    <Failure title="The callbacks cannot be read" error={callbacks.error} retry={() => void callbacks.refetch()} />
  ) : filter === "all" ? (
    <Empty icon="callbacks" title="No callbacks yet" action={<Button onPress={() => go("settings")}>Go to Settings</Button>}>
      When a flow stops, finishes or fails, its receiver is told. Set the address for that in the settings or in the flow.
    </Empty>
  ) : (
    <Empty icon="check" title="None of these" action={<Button onPress={() => setFilter("all")}>Show all</Button>}>
      No callback is in this state.
    </Empty>
  );

  return (
    <Split
      listLabel="Callbacks"
      detailLabel="Callback"
      chosen={id !== undefined}
      onBack={() => go("callbacks")}
      list={
        <>
          <ListBar>
            <h1>Callbacks</h1>
          </ListBar>
          <ListBar>
            <Choice label="Show" hideLabel value={filter} onChange={setFilter} options={filters} />
          </ListBar>
          <ListGroup aside={amiss.join(" · ")}>Latest first</ListGroup>
          {callbacks.isPending ? (
            <RowsSkeleton />
          ) : rows.length === 0 ? (
            sideBySide ? null : instead
          ) : (
            <Rows
              label="Callbacks"
              rows={rows}
              selected={shown}
              onSelect={(chosen) => go("callbacks", chosen, { replace: true })}
              onOpen={(chosen) => go("callbacks", chosen, { replace: sideBySide })}
              hasMore={callbacks.hasNextPage}
              loadingMore={callbacks.isFetchingNextPage}
              onMore={() => void callbacks.fetchNextPage()}
              onFocused={setFocused}
            />
          )}
        </>
      }
      detail={
        shown !== undefined ? (
          <CallbackDetail key={shown} id={shown} summary={all.find((one) => one.id === shown)} />
        ) : callbacks.isPending ? (
          <DetailSkeleton />
        ) : (
          instead
        )
      }
    />
  );
}
