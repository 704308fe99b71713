// A transcript with all kinds of items, which no guest that ships says yet: shown in place of a Worker's own.

import type { Page } from "@playwright/test";

import type { Item, TranscriptPage, WorkerUsage } from "../../src/api/types.ts";
import { ask, type Made } from "./backend.ts";

type Body = Item extends infer One ? (One extends Item ? Omit<One, "id" | "turn_id" | "origin" | "status"> : never) : never;

const bodies: (readonly [turn: number, origin: Item["origin"], body: Body])[] = [
  [1, "host", { kind: "user_message", parts: [{ type: "text", text: "How many tests does the project have?" }] }],
  [1, "host", { kind: "reasoning", text: "They stand in files that end in `.test.ts`. I count those." }],
  [
    1,
    "guest",
    { kind: "tool_call", call_id: "c1", name: "shell", arguments: { script: "find . -name '*.test.ts' | xargs grep -c '^test('" } },
  ],
  [
    1,
    "host",
    { kind: "tool_result", call_id: "c1", outcome: "ok", text: "./hub.test.ts:8\n./transcript.test.ts:8\n./follow.test.ts:6\n" },
  ],
  [
    1,
    "host",
    {
      kind: "assistant_message",
      model: "default",
      text: "There are **22 tests** in three files:\n\n| file | tests |\n|---|--:|\n| `hub.test.ts` | 8 |\n| `transcript.test.ts` | 8 |\n| `follow.test.ts` | 6 |\n\n- Each states a behaviour in its name.\n- None of them sleeps.",
    },
  ],
  [2, "host", { kind: "user_message", parts: [{ type: "text", text: "Run them." }] }],
  [2, "guest", { kind: "tool_call", call_id: "c2", name: "shell", arguments: { script: "npm run unit" } }],
  [2, "host", { kind: "tool_result", call_id: "c2", outcome: "error", text: "npm: command not found\n" }],
  [2, "guest", { kind: "notice", level: "warning", text: "There is no npm in the sandbox." }],
];

const turn = (turn_id: number, wall_us: number, outcome: WorkerUsage["turns"][number]["outcome"]) => ({
  turn_id,
  ended_at: "2026-01-01T00:00:00Z",
  outcome,
  receipt: { wall_us, cpu_us: wall_us / 9, peak_memory_bytes: 61 << 20, model_calls: 1 },
});

export async function withScriptedTranscript(page: Page, { runtime_id, worker_id }: Made): Promise<void> {
  const path = `/api/runtimes/${runtime_id}/workers/${worker_id}/transcript`;
  const real = await ask<TranscriptPage>(page, "GET", path);
  const items = bodies.map(
    ([turn_id, origin, body], place) => ({ id: place + 1, turn_id, origin, status: "completed", ...body }) as Item,
  );
  // Answered at once: a handler that asked the Backend itself could outlive its test.
  await page.route(`**${path}*`, (route) => route.fulfill({ json: { ...real, items } satisfies TranscriptPage }));
  await page.route(`**/workers/${worker_id}/usage*`, (route) =>
    route.fulfill({
      json: {
        total: { turns: 6, wall_us: 91e6, cpu_us: 9e6, model_calls: 11, input: 18_240, output: 2_113 },
        turns: [
          ...[8e6, 21e6, 13e6, 5e6].map((wall, place) => turn(place + 10, wall, { status: "completed" })),
          turn(1, 31e6, { status: "completed" }),
          turn(2, 4e6, { status: "failed", kind: "guest", message: "the tool that it needs is not there" }),
        ],
        more_before: false,
      } satisfies WorkerUsage,
    }),
  );
}
