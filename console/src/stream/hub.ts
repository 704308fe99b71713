// Holds the one event stream of a browser, and hands what comes to the tabs that want it.

import type { ProblemBody, WorkerEvent } from "../api/types.ts";
import type { ConnectionState, FromTab, Key, ToTab } from "./messages.ts";
import type { OpenWire, Probe, Wire } from "./wire.ts";

/** As many Workers as one stream takes. */
const MOST_FOLLOWS = 32;
const FIRST_PAUSE_MS = 250;
const LONGEST_PAUSE_MS = 5_000;
/** Tabs that change what they follow do so in several steps. */
const GATHER_MS = 10;

const TOO_MANY: ProblemBody = {
  code: "too_many_followed",
  detail: `This browser follows ${MOST_FOLLOWS} Workers in other tabs; close some of them.`,
};

export type Tab = (message: ToTab) => void;

interface Followed {
  /** The place after the newest event that came. */
  cursor: string;
  tabs: Set<Tab>;
}

/** The clock of the hub; tests bring their own. */
export interface Clock {
  after(milliseconds: number, act: () => void): () => void;
}

export const realClock: Clock = {
  after(milliseconds, act) {
    const timer = setTimeout(act, milliseconds);
    return () => clearTimeout(timer);
  },
};

export class Hub {
  readonly #openWire: OpenWire;
  readonly #probe: Probe;
  readonly #clock: Clock;
  readonly #tabs = new Set<Tab>();
  readonly #followed = new Map<Key, Followed>();
  #state: ConnectionState = "connecting";
  #wire: Wire | null = null;
  #cancelTimer: (() => void) | null = null;
  #failures = 0;

  constructor(openWire: OpenWire, probe: Probe, clock: Clock = realClock) {
    this.#openWire = openWire;
    this.#probe = probe;
    this.#clock = clock;
  }

  /** What a tab says. The first thing it says makes it one of ours. */
  hear(tab: Tab, message: FromTab): void {
    if (message.kind === "bye") {
      this.#drop(tab);
      return;
    }
    if (!this.#tabs.has(tab)) {
      this.#tabs.add(tab);
      tab({ kind: "connection", state: this.#state });
      if (this.#tabs.size === 1) this.#restart();
    }
    switch (message.kind) {
      case "follow":
        this.#follow(tab, message.key, message.cursor);
        break;
      case "unfollow":
        this.#unfollow(tab, message.key);
        break;
      case "retry":
        if (this.#state === "lost" || this.#state === "signed-out") this.#restart();
        break;
      case "hello":
        break;
    }
  }

  #follow(tab: Tab, key: Key, cursor: string): void {
    const followed = this.#followed.get(key);
    if (!followed) {
      if (this.#followed.size >= MOST_FOLLOWS) {
        tab({ kind: "failed", key, problem: TOO_MANY });
        return;
      }
      this.#followed.set(key, { cursor, tabs: new Set([tab]) });
    } else {
      // The newcomer's place is the one to go on from, also where it lies before that of the others: they
      // drop what they have seen. Where it lies behind theirs, they see that something is missing.
      followed.cursor = cursor;
      for (const other of followed.tabs) if (other !== tab) other({ kind: "moved", key, cursor });
      followed.tabs.add(tab);
    }
    // Anew, also for a newcomer at the same place: it needs the text of open items.
    this.#restart();
  }

  #unfollow(tab: Tab, key: Key): void {
    const followed = this.#followed.get(key);
    if (!followed?.tabs.delete(tab) || followed.tabs.size > 0) return;
    this.#followed.delete(key);
    this.#restart();
  }

  #drop(tab: Tab): void {
    if (!this.#tabs.delete(tab)) return;
    for (const key of [...this.#followed.keys()]) this.#unfollow(tab, key);
    if (this.#tabs.size === 0) this.#close();
  }

  #close(): void {
    this.#cancelTimer?.();
    this.#cancelTimer = null;
    this.#wire?.close();
    this.#wire = null;
  }

  /** Opens the stream anew, from the places that are known. */
  #restart(): void {
    this.#close();
    if (this.#tabs.size === 0) return;
    this.#cancelTimer = this.#clock.after(GATHER_MS, () => this.#open());
  }

  #open(): void {
    const follows = [...this.#followed].map(([key, { cursor }]) => ({ key, cursor }));
    // What a stream says that was given up is not heard any more.
    let given: Wire | null = null;
    const current = () => given === null || this.#wire === given;
    const when =
      <T extends unknown[]>(act: (...values: T) => void) =>
      (...values: T) => {
        if (current()) act(...values);
      };
    given = this.#openWire(follows, {
      opened: when(() => {
        this.#failures = 0;
        this.#show("live");
      }),
      event: when((key: Key, event: WorkerEvent) => this.#hand(key, event)),
      failed: when((key: Key, problem: ProblemBody) => {
        const followed = this.#followed.get(key);
        this.#followed.delete(key);
        for (const tab of followed?.tabs ?? []) tab({ kind: "failed", key, problem });
      }),
      changed: when((changed) => this.#tell({ kind: "changed", changed })),
      runtime: when((runtime) => this.#tell({ kind: "runtime", runtime })),
      missed: when(() => this.#tell({ kind: "missed" })),
      closed: when(() => void this.#lost()),
    });
    this.#wire = given;
  }

  #hand(key: Key, event: WorkerEvent): void {
    const followed = this.#followed.get(key);
    if (!followed) return;
    if ("cursor" in event && event.cursor !== undefined) followed.cursor = event.cursor;
    for (const tab of followed.tabs) tab({ kind: "event", key, event });
  }

  async #lost(): Promise<void> {
    this.#close();
    if (this.#state !== "signed-out") this.#show("lost");
    const pause = Math.min(FIRST_PAUSE_MS * 2 ** this.#failures, LONGEST_PAUSE_MS);
    this.#failures += 1;
    this.#cancelTimer = this.#clock.after(pause, () => this.#open());
    const found = await this.#probe();
    if (this.#state === "live") return;
    this.#show(found === "signed-out" ? "signed-out" : "lost");
  }

  #show(state: ConnectionState): void {
    if (state === this.#state) return;
    this.#state = state;
    this.#tell({ kind: "connection", state });
  }

  #tell(message: ToTab): void {
    for (const tab of this.#tabs) tab(message);
  }
}
