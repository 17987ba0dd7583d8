import { describe, expect, it } from "vitest";

import { EventStreamParser } from "./sse";

function parse(...pieces: string[]): string[] {
  const parser = new EventStreamParser();
  return pieces.flatMap((piece) => parser.push(piece));
}

describe("the event stream", () => {
  const stream = ': hello\n\nevent: x\nid: 1\ndata: {"kind":"flows"}\n\ndata:a\ndata: b\n\n';

  it("gives the data of whole events and skips the rest", () => {
    expect(parse(stream)).toEqual(['{"kind":"flows"}', "a\nb"]);
  });

  it("does not depend on how the bytes arrive", () => {
    for (const text of [stream, stream.replaceAll("\n", "\r\n"), stream.replaceAll("\n", "\r")]) {
      const whole = text.endsWith("\r") ? `${text}\n` : text;
      expect(parse(...Array.from(whole)), JSON.stringify(text.slice(0, 12))).toEqual(parse(stream));
    }
  });

  it("keeps back what is not complete", () => {
    expect(parse("data: half")).toEqual([]);
    expect(parse("data: half", "\n")).toEqual([]);
    expect(parse("data: half", "\n", "\n")).toEqual(["half"]);
  });
});
