import { lazy, memo, Suspense } from "react";

import styles from "./Markdown.module.css";

const Markdown = lazy(() => import("./Markdown"));

/** Markdown, read again only when it has changed. Until its reader has come, the plain text stands in the same place. */
export const MarkdownText = memo(function MarkdownText({ text }: { text: string }) {
  if (text.trim() === "") return null;
  return (
    <Suspense fallback={<div className={`${styles.text} ${styles.plain}`}>{text}</div>}>
      <Markdown text={text} />
    </Suspense>
  );
});
