// A tab's side of the event stream.

import type { ProblemBody, RuntimeChanged, WorkerChanged, WorkerEvent } from "../api/types.ts";
import { Hub } from "./hub.ts";
import {
  CHANNEL,
  type ConnectionState,
  type FromTab,
  type Key,
  type ToTab,
} from "./messages.ts";
import { openEventSource, probe } from "./wire.ts";

export interface Follower {
  event(event: WorkerEvent): void;
  moved(cursor: string): void;
  failed(problem: ProblemBody): void;
}

type Say = (message: FromTab) => void;

/** Says hello, and how to speak: to the SharedWorker of this browser, or to a hub of this tab's own. */
function reach(hear: (message: ToTab) => void): Say {
  const port = sharedPort();
  if (port) {
    port.onmessage = ({ data }: MessageEvent<ToTab>) => hear(data);
    const say: Say = (message) => port.postMessage(message);
    const lock = `${CHANNEL}-${crypto.randomUUID()}`;
    const held = new Promise<never>(() => undefined);
    // Held for as long as the tab is there.
    void navigator.locks.request(lock, () => {
      say({ kind: "hello", lock });
      return held;
    });
    return say;
  }
  const hub = new Hub(openEventSource, probe);
  const say: Say = (message) => hub.hear(hear, message);
  // Not at once: whoever asked has to be ready to hear.
  queueMicrotask(() => say({ kind: "hello", lock: "" }));
  return say;
}

/** The way to the SharedWorker, where the browser has one and lets us. */
function sharedPort(): MessagePort | null {
  if (typeof SharedWorker !== "function" || !("locks" in navigator)) return null;
  try {
    return new SharedWorker("/assets/stream.js", CHANNEL).port;
  } catch {
    return null;
  }
}

type Listener<T> = (value: T) => void;

export class Link {
  readonly #say: Say;
  readonly #followers = new Map<Key, Follower>();
  readonly #onState = new Set<Listener<ConnectionState>>();
  readonly #onChanged = new Set<Listener<WorkerChanged>>();
  readonly #onRuntime = new Set<Listener<RuntimeChanged>>();
  readonly #onMissed = new Set<Listener<void>>();
  #state: ConnectionState = "connecting";

  constructor() {
    this.#say = reach((message) => this.#hear(message));
    addEventListener("online", () => this.retry());
  }

  get state(): ConnectionState {
    return this.#state;
  }

  /** Follows a Worker from a place on, instead of whoever followed it in this tab. */
  follow(key: Key, cursor: string, follower: Follower): void {
    this.#followers.set(key, follower);
    this.#say({ kind: "follow", key, cursor });
  }

  unfollow(key: Key, follower: Follower): void {
    if (this.#followers.get(key) !== follower) return;
    this.#followers.delete(key);
    this.#say({ kind: "unfollow", key });
  }

  /** Does not wait for the pause to be over. */
  retry(): void {
    this.#say({ kind: "retry" });
  }

  onState(listener: Listener<ConnectionState>): () => void {
    return listen(this.#onState, listener);
  }

  onChanged(listener: Listener<WorkerChanged>): () => void {
    return listen(this.#onChanged, listener);
  }

  onRuntime(listener: Listener<RuntimeChanged>): () => void {
    return listen(this.#onRuntime, listener);
  }

  onMissed(listener: Listener<void>): () => void {
    return listen(this.#onMissed, listener);
  }

  #hear(message: ToTab): void {
    switch (message.kind) {
      case "connection":
        this.#state = message.state;
        for (const listener of this.#onState) listener(message.state);
        break;
      case "event":
        this.#followers.get(message.key)?.event(message.event);
        break;
      case "moved":
        this.#followers.get(message.key)?.moved(message.cursor);
        break;
      case "failed": {
        const follower = this.#followers.get(message.key);
        this.#followers.delete(message.key);
        follower?.failed(message.problem);
        break;
      }
      case "changed":
        for (const listener of this.#onChanged) listener(message.changed);
        break;
      case "runtime":
        for (const listener of this.#onRuntime) listener(message.runtime);
        break;
      case "missed":
        for (const listener of this.#onMissed) listener();
        break;
    }
  }
}

function listen<T>(listeners: Set<Listener<T>>, listener: Listener<T>): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}
