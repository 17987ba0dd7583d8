import { useMemo, useState } from "react";

/** Marks the part of a sheet that has to be seen before an answer. */
export const PART = "data-next-part";
/** A part that is this near to the edge, in pixels, is in sight. */
const NEAR = 8;

/** What of a sheet lies below what is in sight. */
type Below = { /** Whether it goes on at all. */ more: boolean; /** Whether the marked part is not in sight. */ part: boolean };

const NOTHING: Below = { more: false, part: false };

function belowOf(sheet: HTMLElement): Below {
  const more = sheet.scrollHeight - sheet.clientHeight - sheet.scrollTop > NEAR;
  const view = sheet.getBoundingClientRect();
  const part = sheet.querySelector(`[${PART}]`)?.getBoundingClientRect();
  return { more, part: more && part !== undefined && part.bottom > view.bottom + NEAR && part.top > view.top + NEAR };
}

/** Whether a sheet goes on below the edge, and a way to its marked part. */
export function useBelow() {
  const [below, setBelow] = useState(NOTHING);
  const [sheet, setSheet] = useState<HTMLElement | null>(null);

  const ref = useMemo(
    () => (element: HTMLElement | null) => {
      if (element === null) return;
      setSheet(element);
      const look = () =>
        setBelow((before) => {
          const now = belowOf(element);
          return now.more === before.more && now.part === before.part ? before : now;
        });
      const observer = new ResizeObserver(look);
      observer.observe(element);
      // What it holds grows when the rest of it has come.
      if (element.firstElementChild !== null) observer.observe(element.firstElementChild);
      element.addEventListener("scroll", look, { passive: true });
      return () => {
        observer.disconnect();
        element.removeEventListener("scroll", look);
        setBelow(NOTHING);
      };
    },
    [],
  );

  /** Scrolls to the marked part and puts the focus there. */
  function show() {
    const part = sheet?.querySelector<HTMLElement>(`[${PART}]`);
    if (sheet === null || part === null || part === undefined) return;
    part.scrollIntoView({ block: part.offsetHeight > sheet.clientHeight ? "start" : "end" });
    part.focus({ preventScroll: true });
  }

  return { ...below, ref, show };
}
