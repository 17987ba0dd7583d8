import styles from "./Desk.module.css";

/** A desk with a sheet that is done. */
export function Desk() {
  return (
    <svg className={styles.desk} viewBox="0 0 220 132" width="220" height="132" aria-hidden="true" focusable="false">
      <path className={styles.table} d="M14 122.5h192" />
      <rect className={styles.under} x="68" y="22" width="78" height="96" rx="8" transform="rotate(-7 107 70)" />
      <rect className={styles.under} x="72" y="20" width="78" height="98" rx="8" transform="rotate(4 111 69)" />
      <rect className={styles.sheet} x="71" y="16" width="78" height="102" rx="8" />
      <path className={styles.line} d="M83 34h38M83 46h54M83 56h46" />
      <circle className={styles.seal} cx="110" cy="86" r="19" />
      <path className={styles.tick} d="M101.5 86.5l6 6 11.5-13" />
      <path className={styles.pen} d="M166 116l22-52 7 3-22 52-8.4 5.6z" />
      <path className={styles.nib} d="M185.5 70l7 3" />
      <path className={styles.cup} d="M26 92h24v20a8 8 0 0 1-8 8h-8a8 8 0 0 1-8-8zM50 97h4a5 5 0 0 1 0 12h-4" />
      <path className={styles.steam} d="M33 84c-3-5 3-7 0-12M42 84c-3-5 3-7 0-12" />
    </svg>
  );
}
