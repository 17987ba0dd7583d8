/** The list of a page: one tab stop, arrow keys, and only the rows in sight are drawn. */

import { type ReactNode, type RefObject, useImperativeHandle, useRef, useState } from "react";
import { Collection } from "react-aria-components/Collection";
import { GridList, GridListItem, GridListLoadMoreItem } from "react-aria-components/GridList";
import { ListLayout, Virtualizer } from "react-aria-components/Virtualizer";

import { useSideBySide } from "../shell/media";
import styles from "./Rows.module.css";

/** One row. */
export type Row = {
  id: string;
  /** What is asked or named, up to two lines. */
  main: ReactNode;
  /** The same as plain text, for a screen reader. */
  text: string;
  sub: ReactNode;
  side?: ReactNode;
  tone?: "warn" | "yes" | "no" | undefined;
  /** Answered elsewhere while the eyes were here. */
  gone?: boolean;
  /** On its way out. */
  leaving?: boolean;
};

/** What a page may do with its list. */
export type RowsHandle = {
  /** Moves the focus to a row, drawing it first if need be. */
  focus: (id: string) => void;
  scrollToTop: () => void;
};

/** How many frames a row may take to be drawn after the list was scrolled to it. */
const FRAMES = 10;
const options = { estimatedRowSize: 64, padding: 0 };

export function Rows({
  label,
  rows,
  selected,
  onSelect,
  onOpen,
  hasMore = false,
  loadingMore = false,
  onMore,
  handle,
  onFocused,
  onEngaged,
}: {
  label: string;
  rows: Row[];
  selected: string | undefined;
  /** A row was chosen, by a press or because the focus moved to it. Only side by side. */
  onSelect: (id: string) => void;
  /** Enter on a row; where one pane shows at a time, also a press. */
  onOpen: (id: string) => void;
  hasMore?: boolean;
  loadingMore?: boolean;
  onMore?: () => void;
  handle?: RefObject<RowsHandle | null>;
  /** The focus is on a row. */
  onFocused?: (id: string) => void;
  /** Whether the person is at the list: pointer over it, focus in it, or scrolled down. */
  onEngaged?: (engaged: boolean) => void;
}) {
  const [layout] = useState(() => new ListLayout());
  const element = useRef<HTMLDivElement>(null);
  const sideBySide = useSideBySide();
  const at = useRef({ pointer: false, focus: false, scrolled: false });

  useImperativeHandle(
    handle,
    () => {
      function focus(id: string, frames = FRAMES) {
        const list = element.current;
        const row = list?.querySelector<HTMLElement>(`[data-key="${CSS.escape(id)}"]`);
        if (row !== null && row !== undefined) {
          row.focus();
          return;
        }
        const place = layout.getLayoutInfo(id)?.rect;
        if (list !== null && place !== undefined) list.scrollTop = place.y - list.clientHeight / 2;
        if (frames > 0) requestAnimationFrame(() => focus(id, frames - 1));
      }
      return { focus, scrollToTop: () => element.current?.scrollTo({ top: 0 }) };
    },
    [layout],
  );

  function engage(change: Partial<typeof at.current>) {
    Object.assign(at.current, change);
    onEngaged?.(at.current.pointer || at.current.focus || at.current.scrolled);
  }

  return (
    <div
      className={styles.frame}
      onPointerEnter={() => engage({ pointer: true })}
      onPointerLeave={() => engage({ pointer: false })}
      onFocus={(event) => {
        engage({ focus: true });
        const row = event.target.closest<HTMLElement>("[data-key]")?.dataset.key;
        if (row !== undefined) onFocused?.(row);
      }}
      onBlur={() => engage({ focus: false })}
    >
      <Virtualizer layout={layout} layoutOptions={options}>
        <GridList
          ref={element}
          className={styles.rows ?? ""}
          aria-label={label}
          selectionMode={sideBySide ? "single" : "none"}
          selectionBehavior="replace"
          disallowEmptySelection
          disallowTypeAhead
          escapeKeyBehavior="none"
          selectedKeys={selected === undefined ? [] : [selected]}
          onSelectionChange={(keys) => {
            if (keys === "all") return;
            const [id] = keys;
            if (typeof id === "string") onSelect(id);
          }}
          onAction={(id) => onOpen(String(id))}
          onScroll={(event) => engage({ scrolled: event.currentTarget.scrollTop > 8 })}
        >
          <Collection items={rows}>
            {(row) => (
              <GridListItem
                id={row.id}
                textValue={row.text}
                className={styles.row ?? ""}
                {...(row.gone === true ? { "data-gone": "" } : {})}
                {...(row.leaving === true ? { "data-leaving": "" } : {})}
              >
                  <div className={styles.main}>{row.main}</div>
                {row.side !== undefined && (
                  <div className={styles.side} data-tone={row.tone}>
                    {row.side}
                  </div>
                )}
                <div className={styles.sub}>{row.sub}</div>
              </GridListItem>
            )}
          </Collection>
          {hasMore && (
            <GridListLoadMoreItem
              className={styles.more ?? ""}
              isLoading={loadingMore}
              {...(onMore === undefined ? {} : { onLoadMore: onMore })}
            >
              Loading more
            </GridListLoadMoreItem>
          )}
        </GridList>
      </Virtualizer>
    </div>
  );
}
