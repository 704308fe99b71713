import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";

import { openEventSource, probe, type WireListener } from "../../src/stream/wire.ts";

/** What the browser has, in the test's hands. */
class FakeEventSource extends EventTarget {
  static readonly opened: FakeEventSource[] = [];
  onopen: (() => void) | null = null;
  onerror: (() => void) | null = null;
  closed = false;
  readonly url: URL;

  constructor(address: string) {
    super();
    this.url = new URL(address, "http://127.0.0.1/");
    FakeEventSource.opened.push(this);
  }

  close(): void {
    this.closed = true;
  }

  says(type: string, data: unknown): void {
    this.dispatchEvent(Object.assign(new Event(type), { data: JSON.stringify(data) }));
  }
}

const globals = globalThis as { EventSource?: unknown; fetch: typeof fetch };
const realFetch = globals.fetch;
beforeEach(() => {
  globals.EventSource = FakeEventSource;
  FakeEventSource.opened.length = 0;
});
afterEach(() => {
  delete globals.EventSource;
  globals.fetch = realFetch;
});

function opened(follows: Parameters<typeof openEventSource>[0]) {
  const heard: unknown[] = [];
  const note =
    (what: string) =>
    (...values: unknown[]) => {
      heard.push([what, ...values]);
    };
  const on: WireListener = {
    opened: note("opened"),
    event: note("event"),
    failed: note("failed"),
    changed: note("changed"),
    runtime: note("runtime"),
    missed: note("missed"),
    closed: note("closed"),
  };
  openEventSource(follows, on);
  const source = FakeEventSource.opened.at(-1);
  assert.ok(source);
  return { heard, source };
}

test("all Workers that are followed are asked for at once, each from its place", () => {
  const follows = [
    { key: "far/w1", cursor: "log.7" },
    { key: "backend-internal/w2", cursor: "" },
  ];
  const { source } = opened(follows);
  assert.equal(source.url.pathname, "/api/events");
  assert.deepEqual(source.url.searchParams.getAll("follow"), ["far/w1/log.7", "backend-internal/w2/"]);
  assert.equal(opened([]).source.url.search, "");
});

test("events go to the Worker that they name, and hints to everybody", () => {
  const { heard, source } = opened([]);
  const place = { runtime_id: "far", worker_id: "w1" };
  source.onopen?.();
  source.says("item.completed", { ...place, type: "item.completed", seq: 3, cursor: "log.3" });
  source.says("item.delta", { ...place, item_id: 1, offset: 0, text: "x" });
  source.says("follow.failed", { ...place, problem: { code: "cursor_gap" } });
  source.says("changed", { ...place, seq: 4, type: "turn.ended" });
  source.says("runtime", { runtime_id: "far" });
  source.says("missed", {});
  assert.deepEqual(heard, [
    ["opened"],
    ["event", "far/w1", { ...place, type: "item.completed", seq: 3, cursor: "log.3" }],
    ["event", "far/w1", { ...place, type: "item.delta", item_id: 1, offset: 0, text: "x" }],
    ["failed", "far/w1", { code: "cursor_gap" }],
    ["changed", { ...place, seq: 4, type: "turn.ended" }],
    ["runtime", { runtime_id: "far" }],
    ["missed"],
  ]);
});

test("one that breaks is closed: by itself it would ask from the places of the first time", () => {
  const { heard, source } = opened([]);
  source.onerror?.();
  assert.equal(source.closed, true);
  assert.deepEqual(heard, [["closed"]]);
});

test("a session that is over is told from a Backend that is away", async () => {
  const answers: (() => Promise<Response>)[] = [
    async () => new Response(null, { status: 401 }),
    async () => new Response(null, { status: 404 }),
    async () => Promise.reject(new TypeError("refused")),
  ];
  const found: string[] = [];
  for (const answer of answers) {
    globals.fetch = answer;
    found.push(await probe());
  }
  assert.deepEqual(found, ["signed-out", "ok", "unreachable"]);
});
