/** Server-sent events over fetch, because an `EventSource` cannot carry a bearer token. */

/** Takes the bytes of the stream in pieces and gives the `data` of each whole event. */
export class EventStreamParser {
  private rest = "";
  private data: string[] = [];

  /** The events that this piece completes. */
  push(piece: string): string[] {
    const events: string[] = [];
    const lines = (this.rest + piece).split(/\r\n|\n|\r(?!$)/);
    this.rest = lines.pop() ?? "";
    for (const line of lines) {
      if (line === "") {
        if (this.data.length > 0) events.push(this.data.join("\n"));
        this.data = [];
      } else if (line.startsWith("data:")) {
        this.data.push(line.slice(5).replace(/^ /, ""));
      }
    }
    return events;
  }
}

/** How the stream is opened and what is told. */
export interface EventStreamOptions {
  /** Opens the stream; a status other than 200 is told to `onRefused`. */
  open: (signal: AbortSignal) => Promise<Response>;
  onConnected: () => void;
  onLost: () => void;
  onData: (data: string) => void;
  onRefused: (status: number) => void;
}

/** The pauses before the next try, in milliseconds; the last one stays. */
const PAUSES = [500, 1000, 2000, 4000, 8000];

/** Keeps a stream open until it is closed. */
export class EventStream {
  private closed = false;
  private failures = 0;
  private controller = new AbortController();
  private wake: () => void = () => undefined;

  constructor(private readonly options: EventStreamOptions) {
    void this.run();
  }

  /** Does not wait any longer for the next try. */
  retryNow(): void {
    this.failures = 0;
    this.wake();
  }

  close(): void {
    this.closed = true;
    this.controller.abort();
    this.wake();
  }

  private isClosed(): boolean {
    return this.closed;
  }

  private async run(): Promise<void> {
    while (!this.isClosed()) {
      this.controller = new AbortController();
      try {
        const response = await this.options.open(this.controller.signal);
        if (response.status !== 200 || response.body === null) {
          this.options.onRefused(response.status);
          if (response.status === 401) return;
        } else {
          this.failures = 0;
          this.options.onConnected();
          await this.read(response.body);
        }
      } catch {
        // The connection broke, or was never there: the same for whoever waits.
      }
      if (this.isClosed()) return;
      this.options.onLost();
      const pause = PAUSES[Math.min(this.failures, PAUSES.length - 1)] ?? 8000;
      this.failures += 1;
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, pause);
        this.wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }

  private async read(body: ReadableStream<Uint8Array>): Promise<void> {
    const parser = new EventStreamParser();
    const decoder = new TextDecoder();
    const reader = body.getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      for (const data of parser.push(decoder.decode(value, { stream: true }))) {
        this.options.onData(data);
      }
    }
  }
}
