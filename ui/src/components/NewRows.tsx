import styles from "./NewRows.module.css";

/** What came on top of a list that holds still. */
export function NewRows({ count, onShow }: { count: number; onShow: () => void }) {
  return (
    <button type="button" className={styles.button} onClick={onShow}>
      {count} new, show
    </button>
  );
}
