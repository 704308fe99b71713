// What the tabs of a browser and the one holder of its event stream say to each other.

import type { ProblemBody, RuntimeChanged, WorkerChanged, WorkerEvent } from "../api/types.ts";

/** A new meaning of these messages needs a new name: tabs of both versions may be open at once. */
export const CHANNEL = "yoi-stream-1";

/** A Worker, as the stream names it: `<runtime id>/<worker id>`. */
export type Key = string;

export type FromTab =
  /** While this lock is held, the tab is there; it is let go whatever ends the tab. */
  | { kind: "hello"; lock: string }
  | { kind: "follow"; key: Key; cursor: string }
  | { kind: "unfollow"; key: Key }
  | { kind: "retry" }
  | { kind: "bye" };

export type ConnectionState = "connecting" | "live" | "lost" | "signed-out";

export type ToTab =
  | { kind: "connection"; state: ConnectionState }
  | { kind: "event"; key: Key; event: WorkerEvent }
  /** The stream of this Worker goes on from another place: some events may come again. */
  | { kind: "moved"; key: Key; cursor: string }
  | { kind: "failed"; key: Key; problem: ProblemBody }
  /** Hints, of which none is repeated. */
  | { kind: "changed"; changed: WorkerChanged }
  | { kind: "runtime"; runtime: RuntimeChanged }
  | { kind: "missed" };
