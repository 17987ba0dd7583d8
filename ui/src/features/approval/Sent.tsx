import { memo, useMemo } from "react";

import { Card } from "../../components/Card";
import { type Content, contentOfValue } from "../../components/content";
import { LongText } from "../../components/LongText";
import { byteLength, bytes } from "../../components/size";
import { LinesSkeleton } from "../../components/States";
import { Unfold } from "../../components/Unfold";
import styles from "./Sent.module.css";
import { isBlank, isRecord, sentOf } from "./words";

/** Texts above this length get a frame that scrolls. */
const LONG = 600;
/** Of texts above this length the beginning is drawn first: a page of ten million letters stands still. */
const HUGE = 20_000;
/** So many letters are drawn of all values of a table together, each at least with its beginning. */
const TABLE = 60_000;
/** So many values are drawn of a table. */
const VALUES = 100;
/** Nested data up to this length stays in one line. */
const SHORT = 64;
/** From this size on it is said how much was sent, in bytes. */
const WORTH_SAYING = 10_000;

type Cell = { name: string; empty: string } | { name: string; content: Content };

/** JSON with its lines, or in one line if that is short. */
function oneLine(text: string): string {
  // Lines of nested data are never so much longer than it is in one.
  if (text.length > 8 * SHORT) return text;
  const line = text.replace(/\n\s*/g, " ");
  return line.length <= SHORT ? line : text;
}

function cellsOf(entries: [string, unknown][]): Cell[] {
  let left = TABLE;
  return entries.slice(0, VALUES).map(([name, value]): Cell => {
    if (value === "") return { name, empty: "empty" };
    if (value === null || value === undefined) return { name, empty: "nothing" };
    const content = contentOfValue(value, Math.max(LONG, Math.min(HUGE, left)));
    left -= content.start.length;
    const line = typeof value === "object" && content.whole === null ? oneLine(content.start) : content.start;
    return { name, content: line === content.start ? content : { ...content, start: line } };
  });
}

function Value({ name, content }: { name: string; content: Content }) {
  if (content.whole === null && content.start.length <= LONG) return <dd>{content.start}</dd>;
  return (
    <dd>
      <LongText content={content} label={name} className={styles.long} />
    </dd>
  );
}

function Table({
  name,
  entries,
  size,
}: {
  name: string;
  entries: [string, unknown][];
  /** How much that is in bytes, where it is known: counting takes its time. */
  size?: number;
}) {
  const cells = useMemo(() => cellsOf(entries), [entries]);
  const rest = useMemo((): Content | null => {
    if (entries.length <= VALUES) return null;
    const all = Object.fromEntries(entries);
    return { start: "", whole: () => JSON.stringify(all, null, 2), bytes: size ?? byteLength(JSON.stringify(all)) };
  }, [entries, size]);
  return (
    <>
      <dl className={styles.table}>
        {cells.map((cell) => (
          <div key={cell.name} className={styles.pair}>
            <dt>{cell.name}</dt>
            {"empty" in cell ? <dd data-empty="">{cell.empty}</dd> : <Value name={cell.name} content={cell.content} />}
          </div>
        ))}
      </dl>
      {rest !== null && (
        <div className={styles.more}>
          <LongText
            content={rest}
            label={name}
            note={`Only the first ${VALUES} of ${entries.length.toLocaleString("en")} values are shown.`}
          />
        </div>
      )}
    </>
  );
}

/** What the sender sent, as names and values; headers are there for those who look for them. */
export const SentCard = memo(function SentCard({
  payload,
  size,
  here,
}: {
  payload: unknown;
  size: number;
  /** Whether the payload is here; it is on its way if not. */
  here: boolean;
}) {
  const { body, query, headers } = useMemo(() => sentOf(payload), [payload]);
  const content = useMemo(
    (): [string, unknown][] => (isRecord(body) ? Object.entries(body) : [["content", body]]),
    [body],
  );
  return (
    <Card title="What was sent" flush aside={size >= WORTH_SAYING && bytes(size)}>
      {!here ? (
        <LinesSkeleton lines={size < 200 ? 3 : 6} />
      ) : payload === null ? (
        <p className={styles.nothing}>It is not kept any more: the run that it belongs to is gone.</p>
      ) : (
        isBlank(body) && query.length === 0 && <p className={styles.nothing}>The call came without content.</p>
      )}
      {!isBlank(body) && <Table name="what was sent" entries={content} size={size} />}
      {query.length > 0 && (
        <>
          <h3 className={styles.part}>In the address</h3>
          <Table name="what was in the address" entries={query} />
        </>
      )}
      {headers.length > 0 && (
        <Unfold className={styles.headers} summary={headers.length === 1 ? "1 header" : `${headers.length} headers`}>
          {() => <Table name="the headers" entries={headers} />}
        </Unfold>
      )}
    </Card>
  );
});
