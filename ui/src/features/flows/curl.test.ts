import { execFileSync } from "node:child_process";

import { describe, expect, it } from "vitest";

import { curlOf, predictionCurlOf, startOf } from "./curl";

function document(inputs: object): string {
  return JSON.stringify({ nodes: [{ data: { name: "startAgentflow", inputs } }], edges: [] });
}

const flow = {
  webhookUrl: "http://127.0.0.1:8420/api/v1/webhook/f",
  method: "POST" as string | null,
  signature: null as string | null,
  flowData: document({ startInputType: "webhookTrigger" }),
};

/** What a shell hands to curl: its arguments. */
function argumentsOf(line: string): string[] {
  const script = `curl() { printf '%s\\0' "$@"; }\n${line}`;
  return execFileSync("sh", ["-c", script], { encoding: "utf8" }).split("\0").slice(0, -1);
}

describe("the line for a terminal", () => {
  it("posts a small message to a flow that asks for nothing", () => {
    expect(argumentsOf(curlOf(flow))).toEqual([
      "-H",
      "content-type: application/json",
      "--data-raw",
      '{"message":"test"}',
      flow.webhookUrl,
    ]);
  });

  it("sends every field that the flow declares, with its type", () => {
    const flowData = document({
      webhookBodyParams: [
        { name: "it's", type: "string", required: true },
        { name: "n", type: "number", required: true },
        { name: "ok", type: "boolean", required: false },
        { name: "list", type: "array[string]", required: false },
        { name: "o", type: "object", required: false },
      ],
      webhookQueryParams: [
        { name: "region", required: true },
        { name: "x", required: false },
      ],
    });
    const sent = argumentsOf(curlOf({ ...flow, flowData }));
    expect(JSON.parse(sent[3]!)).toEqual({ "it's": "test it's", n: 1000, ok: true, list: [], o: {} });
    expect(sent[4]).toBe(`${flow.webhookUrl}?region=test+region`);
  });

  it("sends the headers that the flow requires", () => {
    const webhookHeaderParams = [
      { name: "X-A", type: "string", required: true },
      { name: "X-B", type: "string", required: false },
      { name: "Content-Type", type: "string", required: true },
    ];
    const sent = argumentsOf(curlOf({ ...flow, flowData: document({ webhookHeaderParams }) }));
    expect(sent.filter((_, place) => sent[place - 1] === "-H")).toEqual(["content-type: application/json", "X-A: test X-A"]);
    const unchecked = document({ webhookHeaderParams, webhookEnableValidation: false });
    expect(curlOf({ ...flow, flowData: unchecked })).not.toContain("X-A");
  });

  it("fills in what the flow's texts speak of", () => {
    const flowData = JSON.stringify({
      nodes: [
        { data: { name: "startAgentflow", inputs: { webhookBodyParams: [{ name: "amount", type: "number" }] } } },
        { data: { inputs: { text: "<p>Pay {{ $webhook.body.amount }} to {{$webhook.body.customer.name}} ({{ $webhook.body.customer.id }})?</p>" } } },
        { data: { inputs: { text: "{{ $webhook.query.region }} {{ $webhook.body.__proto__.x }} {{ $webhook.body.amount.cents }}" } } },
      ],
    });
    const sent = argumentsOf(curlOf({ ...flow, flowData }));
    expect(JSON.parse(sent[3]!)).toEqual({ amount: 1000, customer: { name: "test name", id: "test id" } });
    expect(sent[4]).toBe(`${flow.webhookUrl}?region=test+region`);
  });

  it("uses the flow's method and form", () => {
    expect(argumentsOf(curlOf({ ...flow, method: "GET" }))).toEqual(["-X", "GET", flow.webhookUrl]);
    const flowData = document({ webhookContentType: "application/x-www-form-urlencoded" });
    expect(argumentsOf(curlOf({ ...flow, method: "PUT", flowData }))).toEqual([
      "-X",
      "PUT",
      "-H",
      "content-type: application/x-www-form-urlencoded",
      "--data-raw",
      "message=test",
      flow.webhookUrl,
    ]);
  });

  it("signs the very bytes that it sends", () => {
    const flowData = document({ webhookSignatureHeader: "x-hub-signature-256" });
    // The vector of the webhook specification: this secret and this body.
    const line = curlOf({ ...flow, signature: "hmac-sha256", flowData })
      .replace("the secret of this flow", "whsec_demo")
      .replace('{"message":"test"}', '{"event":"push","n":1}');
    const sent = argumentsOf(line);
    expect(sent).toContain("x-hub-signature-256: sha256=52d486aa07b3c26e8683f158699b0c2a547e1203f0cc33c2f85f65d2c5703a83");
    expect(sent).toContain('{"event":"push","n":1}');
  });

  it("carries a plain token in the header", () => {
    expect(argumentsOf(curlOf({ ...flow, signature: "plain-token" }))).toContain(
      "x-webhook-signature: the secret of this flow",
    );
  });

  it("starts a flow that has no webhook with its form, or with a question", () => {
    const form = {
      title: "",
      description: "",
      fields: [
        { name: "it's", label: "", type: "string" as const, options: [] },
        { name: "system", label: "", type: "options" as const, options: ["a b", "c"] },
      ],
    };
    const sent = argumentsOf(predictionCurlOf({ ...flow, form }));
    expect(sent).toContain("authorization: Bearer the token of the API");
    expect(sent.at(-2)).toBe(JSON.stringify({ form: { "it's": "test it's", system: "a b" } }));
    expect(sent.at(-1)).toBe("http://127.0.0.1:8420/api/v1/prediction/f");
    expect(argumentsOf(predictionCurlOf({ ...flow, form: null }))).toContain('{"question":"test question"}');
  });

  it("survives a document that it cannot read", () => {
    expect(startOf("no json").header).toBe("x-webhook-signature");
    expect(startOf('{"nodes":[null,1,{"data":null}]}').body).toEqual([]);
  });
});
