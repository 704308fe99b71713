// The connection below the hub: one event stream for all that is followed.

import type { ProblemBody, RuntimeChanged, WorkerChanged, WorkerEvent } from "../api/types.ts";
import type { Key } from "./messages.ts";

export interface Follow {
  key: Key;
  cursor: string;
}

export interface WireListener {
  opened(): void;
  event(key: Key, event: WorkerEvent): void;
  failed(key: Key, problem: ProblemBody): void;
  changed(changed: WorkerChanged): void;
  runtime(runtime: RuntimeChanged): void;
  /** Some of what changed was not told. */
  missed(): void;
  /** It is gone, and does not come back by itself. */
  closed(): void;
}

export interface Wire {
  close(): void;
}

export type OpenWire = (follows: Follow[], on: WireListener) => Wire;

/** Whether the Backend takes this browser's requests. */
export type Probe = () => Promise<"ok" | "signed-out" | "unreachable">;

/** What a Worker's log may have, and the pieces of open items. Others cannot be listened to. */
const LISTENED: Record<WorkerEvent["type"], true> = {
  "worker.created": true,
  "worker.stopped": true,
  "worker.started": true,
  "worker.upgraded": true,
  "worker.deleted": true,
  "worker.trimmed": true,
  "grant.revoked": true,
  "input.accepted": true,
  "input.queued": true,
  "input.steered": true,
  "turn.started": true,
  "turn.ended": true,
  "item.started": true,
  "item.completed": true,
  "usage.recorded": true,
  "state.set": true,
  notice: true,
  unknown: true,
  "item.delta": true,
  "item.snapshot": true,
};
export const EVENT_TYPES = Object.keys(LISTENED) as readonly WorkerEvent["type"][];

type OfWorker = Pick<WorkerChanged, "runtime_id" | "worker_id">;

const keyOf = ({ runtime_id, worker_id }: OfWorker): Key => `${runtime_id}/${worker_id}`;

export const openEventSource: OpenWire = (follows, on) => {
  const query = new URLSearchParams(follows.map(({ key, cursor }) => ["follow", `${key}/${cursor}`]));
  const source = new EventSource(follows.length > 0 ? `/api/events?${query}` : "/api/events");
  const listen = <T>(type: string, act: (data: T) => void) =>
    source.addEventListener(type, (message: MessageEvent<string>) => {
      act(JSON.parse(message.data) as T);
    });
  source.onopen = () => on.opened();
  source.onerror = () => {
    // Left alone, the browser would ask again from the places of the first time.
    source.close();
    on.closed();
  };
  for (const type of EVENT_TYPES) {
    // A live piece says what it is by the name of its message alone.
    listen<OfWorker>(type, (data) => on.event(keyOf(data), { ...data, type } as OfWorker & WorkerEvent));
  }
  listen<OfWorker & { problem: ProblemBody }>("follow.failed", (data) =>
    on.failed(keyOf(data), data.problem),
  );
  listen<WorkerChanged>("changed", (data) => on.changed(data));
  listen<RuntimeChanged>("runtime", (data) => on.runtime(data));
  // More hints than this browser could take: what they would have said is to be asked.
  listen("missed", () => on.missed());
  return source;
};

export const probe: Probe = async () => {
  try {
    const { status } = await fetch("/api/runtimes");
    return status === 401 ? "signed-out" : "ok";
  } catch {
    return "unreachable";
  }
};
