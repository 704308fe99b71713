import assert from "node:assert/strict";
import { test } from "node:test";

import type { Item, WorkerEvent } from "../../src/api/types.ts";
import { Transcript } from "../../src/fold/transcript.ts";

const answer = (id: number, text: string, status: Item["status"] = "in_progress"): Item => ({
  id,
  turn_id: 1,
  origin: "host",
  status,
  kind: "assistant_message",
  text,
});

const user = (id: number, turn_id: number, text: string): Item => ({
  id,
  turn_id,
  origin: "host",
  status: "completed",
  kind: "user_message",
  parts: [{ type: "text", text }],
});

const texts = (transcript: Transcript) =>
  transcript.turns.flatMap(({ entries }) => entries.map(({ text }) => text));

const receipt = { wall_us: 1, cpu_us: 1 };

const delta = (offset: number, text: string): WorkerEvent => ({ type: "item.delta", item_id: 2, offset, text });

test("pieces are placed by their bytes: repeated ones change nothing, and one after a gap is left", () => {
  const transcript = new Transcript();
  transcript.event({ type: "item.started", seq: 1, turn_id: 1, item: answer(2, "") });
  for (const piece of [delta(0, "grü"), delta(0, "grü"), delta(2, "üße"), delta(100, "!")]) {
    transcript.event(piece);
  }
  assert.deepEqual(texts(transcript), ["grüße"]);
  transcript.event({ type: "item.snapshot", item_id: 2, text: "grüße an" });
  transcript.event(delta(10, " alle"));
  assert.deepEqual(texts(transcript), ["grüße an alle"]);
});

test("a late piece does not change an item that is finished", () => {
  const transcript = new Transcript();
  transcript.event({ type: "item.completed", seq: 1, turn_id: 1, item: answer(2, "done", "completed") });
  transcript.event(delta(4, "?"));
  transcript.event({ type: "item.snapshot", item_id: 2, text: "?" });
  assert.deepEqual(texts(transcript), ["done"]);
});

test("an event that comes twice is folded once", () => {
  const transcript = new Transcript();
  const event: WorkerEvent = { type: "item.completed", seq: 3, turn_id: 1, item: answer(2, "done", "completed") };
  transcript.event(event);
  const [before] = transcript.turns;
  transcript.event(event);
  assert.deepEqual(transcript.turns[0], before);
});

test("only what changed is another object", () => {
  const transcript = new Transcript();
  transcript.put(user(1, 1, "hello"));
  transcript.put(answer(2, "a"));
  const [first, second] = transcript.turns[0]?.entries ?? [];
  transcript.event(delta(1, "b"));
  const after = transcript.turns[0]?.entries ?? [];
  assert.equal(after[0], first);
  assert.notEqual(after[1], second);
});

test("messages wait in their order until their turn, or until they are taken in", () => {
  const transcript = new Transcript();
  const parts = (text: string) => [{ type: "text" as const, text }];
  transcript.event({ type: "input.queued", seq: 1, turn_id: 2, parts: parts("later") });
  transcript.event({ type: "input.steered", seq: 2, turn_id: 1, parts: parts("now") });
  assert.deepEqual(transcript.waiting.map(({ how }) => how), ["steered", "queued"]);
  assert.equal(transcript.nextQueued, 2);
  transcript.put(answer(2, "…"));
  transcript.event({ type: "item.completed", seq: 3, turn_id: 1, item: user(3, 1, "now") });
  assert.deepEqual(transcript.waiting.map(({ how }) => how), ["queued"]);
  assert.equal(transcript.turns[0]?.entries[1]?.steered, true);
  transcript.event({ type: "input.accepted", seq: 4, turn_id: 2, item: user(4, 2, "later") });
  assert.deepEqual(transcript.waiting, []);
});

test("what a turn did not take in is not shown as steering any more when it has ended", () => {
  const transcript = new Transcript();
  transcript.event({ type: "input.steered", seq: 1, turn_id: 1, parts: [] });
  transcript.event({ type: "turn.ended", seq: 2, turn_id: 1, outcome: { status: "cancelled", reason: "cancel" }, receipt });
  assert.deepEqual(transcript.waiting, []);
});

test("turns stand in the order of their items, with their ends", () => {
  const transcript = new Transcript();
  transcript.page({
    items: [user(5, 2, "b"), user(1, 1, "a")],
    cut: [{ item_id: 5, bytes: 9000 }],
    first_item: 1,
    last_item: 5,
    more_before: false,
    more_after: false,
    cursor: "log.9",
  });
  transcript.end(1, { status: "interrupted" });
  assert.deepEqual(transcript.turns.map(({ id, outcome }) => [id, outcome?.status]), [
    [1, "interrupted"],
    [2, undefined],
  ]);
  assert.equal(transcript.turns[1]?.entries[0]?.cutOf, 9000);
  transcript.put(user(5, 2, "all of b"));
  assert.equal(transcript.turns[1]?.entries[0]?.cutOf, null);
});

test("an event of an unknown kind changes nothing", () => {
  const transcript = new Transcript();
  transcript.event({ type: "worker.painted", seq: 1 } as unknown as WorkerEvent);
  assert.equal(transcript.isEmpty, true);
});
