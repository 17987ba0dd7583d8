import { useState } from "react";

import { Button } from "../../components/Button";
import { Card } from "../../components/Card";
import { bytes } from "../../components/size";
import styles from "./Sent.module.css";
import { isBlank, isRecord, sentOf } from "./words";

/** Texts above this length get a frame that scrolls. */
const LONG = 600;
/** Of texts above this length the beginning is drawn first: a page of ten million letters stands still. */
const HUGE = 20_000;
/** Nested data up to this length stays in one line. */
const SHORT = 64;

/** A text that can be very long: its beginning, and the rest when it is wanted. */
function LongText({ name, text }: { name: string; text: string }) {
  const [whole, setWhole] = useState(false);
  const cut = !whole && text.length > HUGE;
  return (
    <dd>
      <div className={styles.long} tabIndex={0} role="group" aria-label={name}>
        {cut ? text.slice(0, HUGE) : text}
      </div>
      {cut && (
        <p className={styles.rest}>
          <span>
            The first {bytes(HUGE)} of {bytes(text.length)}.
          </span>
          <Button size="small" onPress={() => setWhole(true)}>
            Show all
          </Button>
        </p>
      )}
    </dd>
  );
}

function Value({ name, value }: { name: string; value: unknown }) {
  if (value === "") return <dd data-empty="">empty</dd>;
  if (value === null || value === undefined) return <dd data-empty="">nothing</dd>;
  const text = typeof value === "string" ? value : typeof value === "object" ? prettyValue(value) : JSON.stringify(value);
  return text.length > LONG ? <LongText name={name} text={text} /> : <dd>{text}</dd>;
}

/** JSON with its lines, or in one line if that is short. */
function prettyValue(value: object): string {
  const lines = JSON.stringify(value, null, 2);
  const line = lines.replace(/\n\s*/g, " ");
  return line.length <= SHORT ? line : lines;
}

function Table({ entries }: { entries: [string, unknown][] }) {
  return (
    <dl className={styles.table}>
      {entries.map(([name, value]) => (
        <div key={name} className={styles.pair}>
          <dt>{name}</dt>
          <Value name={name} value={value} />
        </div>
      ))}
    </dl>
  );
}

/** What the sender sent, as names and values; headers are there for those who look for them. */
export function SentCard({ payload }: { payload: unknown }) {
  const { body, query, headers } = sentOf(payload);
  return (
    <Card title="What was sent" flush>
      {isBlank(body) && query.length === 0 && <p className={styles.nothing}>The call came without content.</p>}
      {!isBlank(body) &&
        (isRecord(body) ? (
          <Table entries={Object.entries(body)} />
        ) : (
          <Table entries={[["content", body]]} />
        ))}
      {query.length > 0 && (
        <>
          <h3 className={styles.part}>In the address</h3>
          <Table entries={query} />
        </>
      )}
      {headers.length > 0 && (
        <details className={styles.headers}>
          <summary>{headers.length === 1 ? "1 header" : `${headers.length} headers`}</summary>
          <Table entries={headers} />
        </details>
      )}
    </Card>
  );
}
