import { useEffect, useMemo, useRef, useState } from "react";

import { lineStarts } from "./content";
import styles from "./Lines.module.css";

/** The height of a line in pixels. The same figure is in the style sheet. */
const LINE = 20;
/** Engines draw nothing that is higher than some 17 million pixels. Above this, scrolling goes in larger steps. */
const HEIGHT_MAX = 8_000_000;
/** Until the frame has been measured. */
const COLUMNS = 80;
const VIEW = 360;

/** A text of millions of letters: only the lines in sight are drawn. */
export function Lines({ text, label }: { text: string; label: string }) {
  const frame = useRef<HTMLDivElement>(null);
  const probe = useRef<HTMLSpanElement>(null);
  const [columns, setColumns] = useState(COLUMNS);
  const [view, setView] = useState(VIEW);
  const [top, setTop] = useState(0);

  useEffect(() => {
    const element = frame.current;
    if (element === null) return;
    const observer = new ResizeObserver(() => {
      const letter = (probe.current?.getBoundingClientRect().width ?? 0) / 100;
      if (letter > 0) setColumns(Math.max(20, Math.floor((probe.current?.parentElement?.clientWidth ?? 0) / letter)));
      setView(element.clientHeight);
    });
    observer.observe(element);
    return () => observer.disconnect();
  }, []);

  const starts = useMemo(() => lineStarts(text, columns), [text, columns]);
  const height = Math.min(starts.length * LINE, HEIGHT_MAX);
  const visible = Math.ceil(view / LINE) + 1;
  // Which line is at the top edge; between two, the block is moved up by the rest.
  const way = height - view;
  const exact = way <= 0 ? 0 : (Math.min(top, way) / way) * (starts.length - view / LINE);
  const first = Math.max(0, Math.floor(exact));
  const lines: string[] = [];
  for (let line = first; line < Math.min(first + visible, starts.length); line += 1) {
    lines.push(text.slice(starts[line], starts[line + 1]).replace(/\n$/, ""));
  }

  return (
    <div
      ref={frame}
      className={styles.frame}
      tabIndex={0}
      role="region"
      aria-label={label}
      onScroll={(event) => setTop(event.currentTarget.scrollTop)}
    >
      <div className={styles.all} style={{ height }}>
        <div className={styles.window} style={{ height: Math.min(view, height) }}>
          <div className={styles.inner}>
            <span className={styles.probe} ref={probe} aria-hidden="true">
              {"0".repeat(100)}
            </span>
            <pre className={styles.lines} style={{ transform: `translateY(${-(exact - first) * LINE}px)` }}>
              {lines.join("\n")}
            </pre>
          </div>
        </div>
      </div>
    </div>
  );
}
