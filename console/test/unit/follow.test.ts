import assert from "node:assert/strict";
import { afterEach, mock, test } from "node:test";

import type { RuntimeChanged, WorkerEvent } from "../../src/api/types.ts";
import { FollowedWorker } from "../../src/fold/follow.ts";
import type { Follower, Link } from "../../src/stream/link.ts";

const realFetch = globalThis.fetch;
const followers: FollowedWorker[] = [];
afterEach(() => {
  globalThis.fetch = realFetch;
  // One that was left open would go on trying, and the process would not end.
  for (const followed of followers.splice(0)) followed.close();
});

/** A Worker whose transcript has come to `cursor` and its log to `last_seq`, and what was asked about it. */
async function opened(cursor: string, last_seq = 1): Promise<{
  followed: FollowedWorker;
  follows: string[];
  loads(): number;
  tell(runtime: RuntimeChanged): void;
}> {
  let loads = 0;
  const usage = { turns: 0, wall_us: 0, cpu_us: 0, model_calls: 0 };
  const worker = { worker_id: "w", status: "idle", last_seq, usage, diagnostics: [] };
  const answers: [RegExp, unknown][] = [
    [/\/transcript/, { items: [], more_before: false, first_item: null, cursor }],
    [/\/usage/, { total: usage, turns: [], more_before: false }],
    [/\/workers\/w$/, worker],
  ];
  globalThis.fetch = async (path) => {
    if (String(path).includes("/transcript")) loads += 1;
    const [, body] = answers.find(([pattern]) => pattern.test(String(path))) ?? [];
    return new Response(JSON.stringify(body));
  };
  const follows: string[] = [];
  let tell: (runtime: RuntimeChanged) => void = () => undefined;
  const link = {
    follow: (_: string, from: string, __: Follower) => follows.push(from),
    unfollow: () => undefined,
    onRuntime: (listener: (runtime: RuntimeChanged) => void) => {
      tell = listener;
      return () => undefined;
    },
  } as unknown as Link;
  const followed = new FollowedWorker({ runtime: "r", worker: "w" }, link, () => undefined);
  followers.push(followed);
  await followed.open();
  return { followed, follows, loads: () => loads, tell };
}

const accepted = (seq: number, id: number): WorkerEvent => ({
  type: "item.completed",
  turn_id: 1,
  seq,
  cursor: `log.${seq}`,
  item: { id, turn_id: 1, origin: "host", status: "completed", kind: "notice", level: "info", text: `${id}` },
});

const shown = (followed: FollowedWorker) =>
  followed.state.transcript.turns.flatMap(({ entries }) => entries.map(({ text }) => text));

test("it follows from the place up to which the transcript is true", async () => {
  const { follows } = await opened("log.7");
  assert.deepEqual(follows, ["log.7"]);
});

test("what comes again is dropped", async () => {
  const { followed, loads } = await opened("log.7");
  for (const seq of [8, 9, 8, 9, 10]) followed.event(accepted(seq, seq));
  assert.deepEqual(shown(followed), ["8", "9", "10"]);
  // The beginning of an answer, after its end.
  const item = { id: 11, turn_id: 1, origin: "host", kind: "assistant_message", text: "" } as const;
  followed.event({ type: "item.started", seq: 11, turn_id: 1, item: { ...item, status: "in_progress" } });
  followed.event({ type: "item.completed", seq: 12, turn_id: 1, item: { ...item, text: "all", status: "completed" } });
  followed.event({ type: "item.started", seq: 11, turn_id: 1, item: { ...item, status: "in_progress" } });
  assert.deepEqual(shown(followed), ["8", "9", "10", "all"]);
  assert.equal(loads(), 1);
});

test("a gap is never shown: the transcript is read anew", async () => {
  const { followed, loads } = await opened("log.7");
  followed.event(accepted(8, 8));
  for (const seq of [10, 11, 13]) followed.event(accepted(seq, seq));
  assert.deepEqual(shown(followed), ["8"]);
  assert.equal(loads(), 2);
});

test("where the stream moved, it is read anew only if nobody can tell which place comes first", async () => {
  const { followed, loads } = await opened("log.7");
  followed.moved("log.7");
  assert.equal(loads(), 1);
  followed.moved("log.9");
  assert.equal(loads(), 2);
  await new Promise((resolve) => setImmediate(resolve));
  followed.event(accepted(8, 8));
  followed.moved("log.6");
  assert.equal(loads(), 2);
});

for (const [newest, expected] of [[8, 1], [9, 2]] as const) {
  test(`where the stream moved past events, what is missing is read anew, also if none comes: ${newest}`, async () => {
    mock.timers.enable({ apis: ["setTimeout"] });
    const { followed, loads } = await opened("log.7", newest);
    followed.event(accepted(8, 8));
    followed.moved("log.9");
    // The Worker answers first, and then what is on its way has time to come.
    for (let turn = 0; turn < 10; turn++) await new Promise((resolve) => setImmediate(resolve));
    mock.timers.tick(1_000);
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(loads(), expected);
    mock.timers.reset();
  });
}

test("a log that does not go back as far leads to a fresh transcript, an unknown Worker to none", async () => {
  const { followed, loads } = await opened("log.7");
  followed.failed({ status: 410, code: "cursor_gap" });
  assert.equal(loads(), 2);
  followed.failed({ status: 404, code: "unknown_worker" });
  assert.equal(followed.state.gone, true);
});

test("it is read anew when its Runtime is there again, and not when another one is", async () => {
  const { loads, tell } = await opened("log.7");
  tell({ runtime_id: "other", status: "ready" });
  tell({ runtime_id: "r", status: "unavailable" });
  tell({ runtime_id: "r" });
  assert.equal(loads(), 1);
  tell({ runtime_id: "r", status: "ready" });
  assert.equal(loads(), 2);
});

test("while its Runtime cannot be reached it says so, until something comes or it is read anew", async () => {
  const { followed, tell } = await opened("log.7");
  tell({ runtime_id: "other", status: "unavailable" });
  assert.equal(followed.state.away, false);
  tell({ runtime_id: "r", status: "unavailable" });
  assert.equal(followed.state.away, true);
  followed.event(accepted(8, 8));
  assert.equal(followed.state.away, false);
  tell({ runtime_id: "r", status: "unavailable" });
  tell({ runtime_id: "r", status: "ready" });
  await followed.open();
  assert.equal(followed.state.away, false);
});

test("the end of a turn leads to the next that waits, and the end of one that waited to nothing", async () => {
  const { followed } = await opened("log.7");
  const ended = (seq: number, turn_id: number): WorkerEvent => ({
    type: "turn.ended",
    seq,
    turn_id,
    outcome: { status: "completed" },
    receipt: { wall_us: 1, cpu_us: 1 },
  });
  followed.event({ type: "turn.started", seq: 8, turn_id: 1 });
  followed.event({ type: "input.queued", seq: 9, turn_id: 2, parts: [] });
  followed.event({ type: "input.queued", seq: 10, turn_id: 3, parts: [] });
  followed.event(ended(11, 2));
  assert.deepEqual([followed.state.status, followed.state.turn], ["running", 1]);
  followed.event(ended(12, 1));
  assert.deepEqual([followed.state.status, followed.state.turn], ["running", 3]);
  followed.event({ type: "turn.started", seq: 13, turn_id: 3 });
  followed.event({ type: "worker.stopped", seq: 14 });
  assert.equal(followed.state.status, "stopped");
});
