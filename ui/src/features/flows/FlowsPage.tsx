import { useQueryClient } from "@tanstack/react-query";
import { useMemo, useState } from "react";

import type { FlowImport } from "../../bindings/FlowImport";
import type { FlowSummary } from "../../bindings/FlowSummary";
import { notify } from "../../components/Announcer";
import { Banner } from "../../components/Banner";
import { Button } from "../../components/Button";
import { Icon } from "../../components/Icon";
import { type Row, Rows } from "../../components/Rows";
import { ListBar, ListGroup, Split } from "../../components/Split";
import { DetailSkeleton, Empty, Failure, RowsSkeleton, wordsOf } from "../../components/States";
import { Time } from "../../components/Time";
import { keys, useFlows } from "../../data/queries";
import { useKeys } from "../../keys/keys";
import { usePlatform } from "../../platform/context";
import { readFlowFile } from "../../platform/file";
import { useSideBySide } from "../../shell/media";
import { go, useRoute } from "../../shell/router";
import { FlowPage } from "./FlowDetail";
import styles from "./Flows.module.css";
import { useFileDrop } from "./drop";
import { takenIn } from "./words";

type Trouble = { file: string; text: string };

/** What is most worth knowing of a flow: what is amiss, else what waits. */
function sideOf({ problems, signature, hasWebhookSecret, pending }: FlowSummary): Pick<Row, "side" | "tone"> {
  if (problems.length > 0) return { side: problems.length === 1 ? "1 problem" : `${problems.length} problems`, tone: "warn" };
  if (signature !== null && !hasWebhookSecret) return { side: "Needs a secret", tone: "warn" };
  return { side: pending > 0 ? `${pending} waiting` : "" };
}

export function FlowsPage() {
  const { id } = useRoute();
  const sideBySide = useSideBySide();
  const platform = usePlatform();
  const client = useQueryClient();
  const flows = useFlows();
  const [busy, setBusy] = useState(false);
  const [troubles, setTroubles] = useState<Trouble[]>([]);

  async function take(picked: Promise<FlowImport | null>, file: string): Promise<Trouble | null> {
    try {
      const flow = await picked;
      if (flow === null) return null;
      const imported = await platform.importFlow(flow);
      await client.invalidateQueries({ queryKey: keys.flows });
      void client.invalidateQueries({ queryKey: keys.status });
      notify(takenIn("Imported", imported));
      go("flows", imported.id);
      return null;
    } catch (error) {
      return { file, text: wordsOf(error) };
    }
  }

  async function importAll(picks: { file: string; flow: () => Promise<FlowImport | null> }[]) {
    if (busy) return;
    setBusy(true);
    setTroubles([]);
    const found: Trouble[] = [];
    for (const pick of picks) {
      const trouble = await take(pick.flow(), pick.file);
      if (trouble !== null) found.push(trouble);
    }
    setTroubles(found);
    setBusy(false);
  }

  const pick = () => void importAll([{ file: "", flow: () => platform.pickFlowFile() }]);
  const over = useFileDrop(
    (files) => void importAll(files.map((file) => ({ file: file.name, flow: () => readFlowFile(file) }))),
  );

  const rows: Row[] = useMemo(
    () =>
      (flows.data ?? []).map((flow: FlowSummary) => ({
        id: flow.id,
        main: flow.name,
        text: flow.name,
        sub: (
          <>
            {flow.steps.length === 1 ? "1 step" : `${flow.steps.length} steps`} · changed{" "}
            <Time at={flow.updatedDate} as="ago" />
          </>
        ),
        ...sideOf(flow),
      })),
    [flows.data],
  );
  const shown = id ?? (sideBySide ? flows.data?.[0]?.id : undefined);
  const flow = flows.data?.find((one) => one.id === shown);

  useKeys({
    Escape: () => {
      if (sideBySide || id === undefined) return false;
      go("flows");
      return true;
    },
  });

  const instead = flows.isError ? (
    <Failure title="The flows cannot be read" error={flows.error} retry={() => void flows.refetch()} />
  ) : (
    <Empty icon="flows" title="No flows yet">
      Press “Import flow”, or drop a file that Flowise exported anywhere on this page.
    </Empty>
  );

  return (
    <div className={styles.page}>
      <Split
        listLabel="Flows"
        detailLabel="Flow"
        chosen={id !== undefined}
        onBack={() => go("flows")}
        list={
          <>
            <ListBar>
              <h1>Flows</h1>
              <Button kind="yes" size="small" icon="upload" isDisabled={busy} onPress={pick}>
                Import flow
              </Button>
            </ListBar>
            {troubles.map((trouble) => (
              <div className={styles.trouble} key={trouble.file}>
                <Banner
                  tone="no"
                  title={trouble.file === "" ? "The flow was not imported" : `${trouble.file} was not imported`}
                >
                  {trouble.text}
                </Banner>
              </div>
            ))}
            <ListGroup aside={flows.data !== undefined && rows.length > 0 && `${rows.length}`}>What can ask you</ListGroup>
            {flows.isPending ? (
              <RowsSkeleton rows={4} />
            ) : rows.length === 0 ? (
              sideBySide ? null : instead
            ) : (
              <Rows
                label="Flows"
                rows={rows}
                selected={shown}
                onSelect={(chosen) => go("flows", chosen, { replace: true })}
                onOpen={(chosen) => go("flows", chosen, { replace: sideBySide })}
              />
            )}
          </>
        }
        detail={
          flow !== undefined ? (
            <FlowPage key={flow.id} id={flow.id} />
          ) : flows.isPending ? (
            <DetailSkeleton />
          ) : shown !== undefined && flows.data !== undefined ? (
            <Empty icon="flows" title="This flow is gone" action={<Button onPress={() => go("flows")}>Show all flows</Button>}>
              Somebody deleted it.
            </Empty>
          ) : (
            instead
          )
        }
      />
      {over && (
        <div className={styles.drop} aria-hidden="true">
          <Icon name="upload" size={28} />
          Drop to import
        </div>
      )}
    </div>
  );
}
