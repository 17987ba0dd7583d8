/** Text from strangers. No raw HTML, no images, and a link shows where it leads instead of going there. */

import { useState } from "react";
import { Button as AriaButton } from "react-aria-components/Button";
import ReactMarkdown, { type Components } from "react-markdown";
import remarkGfm from "remark-gfm";

import { CopyableCode } from "./Code";
import { Dialog } from "./Dialog";
import styles from "./Markdown.module.css";

function hostOf(address: string): string {
  try {
    const { host, protocol } = new URL(address);
    return host === "" ? protocol.replace(":", "") : host;
  } catch {
    return "no address";
  }
}

function LinkInside({ href, children }: { href?: string | undefined; children?: React.ReactNode }) {
  // The dialog is made when it is first wanted: a text can have a thousand links.
  const [open, setOpen] = useState<boolean>();
  if (href === undefined || href === "") return <>{children}</>;
  const host = hostOf(href);
  return (
    <>
      <AriaButton className={styles.link ?? ""} onPress={() => setOpen(true)}>
        {children}
      </AriaButton>{" "}
      <span className={styles.host}>({host})</span>
      {open !== undefined && (
        <Dialog title={`This link leads to ${host}`} open={open} onClose={() => setOpen(false)}>
          <p>It came with the question and was not checked. Nothing opens from here; copy the address if you trust it.</p>
          <CopyableCode text={href} label="Address" copy="Copy address" />
        </Dialog>
      )}
    </>
  );
}

const components: Components = {
  a: ({ href, children }) => <LinkInside href={href}>{children}</LinkInside>,
  img: ({ alt }) => <span className={styles.host}>[picture left out{alt === undefined || alt === "" ? "" : `: ${alt}`}]</span>,
  // The page has its own headings; those of strangers must not pass for them.
  h1: ({ children }) => <p><strong>{children}</strong></p>,
  h2: ({ children }) => <p><strong>{children}</strong></p>,
  h3: ({ children }) => <p><strong>{children}</strong></p>,
  h4: ({ children }) => <p><strong>{children}</strong></p>,
  h5: ({ children }) => <p><strong>{children}</strong></p>,
  h6: ({ children }) => <p><strong>{children}</strong></p>,
  pre: ({ children }) => <pre tabIndex={0}>{children}</pre>,
  table: ({ children }) => (
    <div className={styles.table} tabIndex={0} role="region" aria-label="Table">
      <table>{children}</table>
    </div>
  ),
  input: ({ checked }) => <>{checked === true ? "☑ " : "☐ "}</>,
};

export default function Markdown({ text }: { text: string }) {
  return (
    <div className={styles.text}>
      <ReactMarkdown remarkPlugins={[remarkGfm]} skipHtml components={components}>
        {text}
      </ReactMarkdown>
    </div>
  );
}
