import assert from "node:assert/strict";
import { test } from "node:test";

import type { WorkerEvent } from "../../src/api/types.ts";
import { Hub, type Tab } from "../../src/stream/hub.ts";
import type { ToTab } from "../../src/stream/messages.ts";
import type { Follow, WireListener } from "../../src/stream/wire.ts";

/** A hub whose connections and clock are in the test's hands. */
class Bench {
  readonly opened: { follows: Follow[]; on: WireListener; closed: boolean }[] = [];
  readonly pauses: number[] = [];
  signedOut = false;
  #due: (() => void) | null = null;
  readonly hub = new Hub(
    (follows, on) => {
      const wire = { follows, on, closed: false };
      this.opened.push(wire);
      return { close: () => (wire.closed = true) };
    },
    async () => (this.signedOut ? "signed-out" : "ok"),
    {
      after: (milliseconds, act) => {
        this.pauses.push(milliseconds);
        this.#due = act;
        return () => (this.#due = null);
      },
    },
  );

  tab(): { tab: Tab; heard: ToTab[] } {
    const heard: ToTab[] = [];
    const tab: Tab = (message) => heard.push(message);
    this.hub.hear(tab, { kind: "hello", lock: "" });
    return { tab, heard };
  }

  /** Lets the pause be over. */
  tick(): void {
    const due = this.#due;
    this.#due = null;
    due?.();
  }

  get wire() {
    const wire = this.opened.at(-1);
    assert.ok(wire);
    return wire;
  }

  get openWires(): number {
    return this.opened.filter(({ closed }) => !closed).length;
  }
}

const durable = (seq: number): WorkerEvent => ({ type: "notice", level: "info", text: "", seq, cursor: `log.${seq}` });
const seqs = (heard: ToTab[]) =>
  heard.flatMap((message) => (message.kind === "event" && "seq" in message.event ? [message.event.seq] : []));

test("tabs that follow several Workers share one connection", () => {
  const bench = new Bench();
  const [one, two] = [bench.tab(), bench.tab()];
  bench.hub.hear(one.tab, { kind: "follow", key: "r/a", cursor: "log.1" });
  bench.hub.hear(two.tab, { kind: "follow", key: "r/b", cursor: "log.5" });
  bench.tick();
  assert.equal(bench.opened.length, 1, "what is asked for at once is gathered");
  assert.deepEqual(bench.wire.follows, [
    { key: "r/a", cursor: "log.1" },
    { key: "r/b", cursor: "log.5" },
  ]);
  bench.wire.on.event("r/a", durable(2));
  bench.wire.on.event("r/b", durable(6));
  assert.deepEqual([seqs(one.heard), seqs(two.heard)], [[2], [6]]);
});

test("a lost connection goes on from the places after what came", async () => {
  const bench = new Bench();
  const { tab, heard } = bench.tab();
  bench.hub.hear(tab, { kind: "follow", key: "r/a", cursor: "log.1" });
  bench.tick();
  bench.wire.on.opened();
  bench.wire.on.event("r/a", durable(2));
  bench.wire.on.event("r/a", { type: "item.delta", item_id: 1, offset: 0, text: "x" });
  bench.wire.on.closed();
  await Promise.resolve();
  assert.deepEqual(heard.at(-1), { kind: "connection", state: "lost" });
  bench.tick();
  assert.deepEqual(bench.wire.follows, [{ key: "r/a", cursor: "log.2" }]);
  bench.wire.on.opened();
  assert.deepEqual(heard.at(-1), { kind: "connection", state: "live" });
});

test("pauses grow up to five seconds, and begin anew after a success", async () => {
  const bench = new Bench();
  bench.tab();
  bench.tick();
  bench.pauses.length = 0;
  for (let failure = 0; failure < 7; failure += 1) {
    bench.wire.on.closed();
    await Promise.resolve();
    bench.tick();
  }
  assert.deepEqual(bench.pauses, [250, 500, 1000, 2000, 4000, 5000, 5000]);
  bench.wire.on.opened();
  bench.wire.on.closed();
  assert.equal(bench.pauses.at(-1), 250);
});

test("a browser that is signed out is told so", async () => {
  const bench = new Bench();
  const { heard } = bench.tab();
  bench.tick();
  bench.signedOut = true;
  bench.wire.on.closed();
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(heard.at(-1), { kind: "connection", state: "signed-out" });
  bench.tick();
  bench.wire.on.opened();
  assert.deepEqual(heard.at(-1), { kind: "connection", state: "live" });
});

test("a second tab at another place makes the stream go on from there, and the first is told", () => {
  const bench = new Bench();
  const [one, two] = [bench.tab(), bench.tab()];
  bench.hub.hear(one.tab, { kind: "follow", key: "r/a", cursor: "log.1" });
  bench.tick();
  bench.wire.on.event("r/a", durable(2));
  const before = bench.wire;
  bench.hub.hear(two.tab, { kind: "follow", key: "r/a", cursor: "log.1" });
  assert.deepEqual(one.heard.at(-1), { kind: "moved", key: "r/a", cursor: "log.1" });
  before.on.event("r/a", durable(3));
  assert.deepEqual(seqs(two.heard), [], "the connection that was given up is not heard any more");
  bench.tick();
  assert.deepEqual(bench.wire.follows, [{ key: "r/a", cursor: "log.1" }]);
  assert.equal(bench.openWires, 1);
  for (const seq of [2, 3]) bench.wire.on.event("r/a", durable(seq));
  assert.deepEqual([seqs(one.heard), seqs(two.heard)], [[2, 2, 3], [2, 3]]);
});

test("what ends one Worker's stream leaves the others", () => {
  const bench = new Bench();
  const { tab, heard } = bench.tab();
  for (const key of ["r/a", "r/b"]) bench.hub.hear(tab, { kind: "follow", key, cursor: "" });
  bench.tick();
  bench.wire.on.failed("r/a", { code: "unknown_worker" });
  bench.wire.on.event("r/b", durable(1));
  assert.deepEqual(heard.slice(-2).map(({ kind }) => kind), ["failed", "event"]);
  bench.hub.hear(tab, { kind: "retry" });
  bench.wire.on.closed();
  bench.tick();
  assert.deepEqual(bench.wire.follows.map(({ key }) => key), ["r/b"], "and is not asked for again");
});

test("more Workers than one stream takes are refused in words", () => {
  const bench = new Bench();
  const { tab, heard } = bench.tab();
  for (let worker = 0; worker < 33; worker += 1) {
    bench.hub.hear(tab, { kind: "follow", key: `r/${worker}`, cursor: "" });
  }
  bench.tick();
  assert.equal(bench.wire.follows.length, 32);
  const refused = heard.find(({ kind }) => kind === "failed");
  assert.ok(refused?.kind === "failed" && refused.key === "r/32");
});

test("without a tab there is no connection", () => {
  const bench = new Bench();
  const [one, two] = [bench.tab(), bench.tab()];
  bench.hub.hear(one.tab, { kind: "follow", key: "r/a", cursor: "" });
  bench.tick();
  bench.hub.hear(one.tab, { kind: "bye" });
  bench.tick();
  assert.deepEqual(bench.wire.follows, [], "what only that tab wanted is let go");
  bench.hub.hear(two.tab, { kind: "bye" });
  bench.tick();
  assert.equal(bench.openWires, 0);
});
