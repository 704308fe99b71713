// What a Worker's transcript says: pages and events, folded. It knows nothing of how that is shown.

import type { InputPart, Item, Outcome, TranscriptPage, TurnId, WorkerEvent } from "../api/types.ts";

/** An item as it is now. It is replaced, never changed: whoever has it can tell by that. */
export interface Entry {
  readonly item: Item;
  /** What it says so far, where it says a text. */
  readonly text: string;
  /** The bytes of that text in UTF-8, by which pieces are placed. */
  readonly bytes: number;
  /** Of an item of which only the beginning is here: the bytes of all of it. */
  readonly cutOf: number | null;
  /** Taken in by a turn that ran already. */
  readonly steered: boolean;
}

export interface Turn {
  readonly id: TurnId;
  /** In the order of their ids. */
  readonly entries: readonly Entry[];
  readonly outcome: Outcome | null;
}

/** A message that was accepted, and has no place in the transcript yet. */
export interface Waiting {
  readonly how: "queued" | "steered";
  readonly parts: readonly InputPart[];
}

type Of<Type extends WorkerEvent["type"]> = Extract<WorkerEvent, { type: Type }>;

const encoder = new TextEncoder();
const decoder = new TextDecoder();

const textOf = (item: Item): string => ("text" in item ? item.text : "");

export class Transcript {
  readonly #entries = new Map<number, Entry>();
  readonly #outcomes = new Map<TurnId, Outcome>();
  /** In the queue by their turns, and for the running turn by their events. */
  readonly #queued = new Map<TurnId, InputPart[]>();
  readonly #steering = new Map<number, InputPart[]>();
  #turns: readonly Turn[] | null = null;

  /** Shows a page, and what it says of items that are not whole. */
  page(page: TranscriptPage): void {
    const cut = new Map((page.cut ?? []).map(({ item_id, bytes }) => [item_id, bytes]));
    for (const item of page.items) this.put(item, cut.get(item.id) ?? null);
  }

  /** Says how a turn ended. */
  end(turnId: TurnId, outcome: Outcome): void {
    this.#outcomes.set(turnId, outcome);
    this.#turns = null;
  }

  put(item: Item, cutOf: number | null = null): void {
    const text = textOf(item);
    const before = this.#entries.get(item.id);
    const steered = before?.steered ?? this.#joins(item);
    const bytes = encoder.encode(text).length;
    this.#entries.set(item.id, { item, text, bytes, cutOf, steered });
    this.#turns = null;
  }

  /** Takes in an event. What it does not know changes nothing. */
  event(event: WorkerEvent): void {
    this.#foldWaiting(event);
    switch (event.type) {
      case "input.accepted":
      case "item.started":
      case "item.completed":
        this.put(event.item);
        break;
      case "turn.ended":
        this.end(event.turn_id, event.outcome);
        break;
      case "item.delta":
        this.#delta(event);
        break;
      case "item.snapshot":
        this.#snapshot(event);
        break;
    }
  }

  /** Only keeps track of what waits: for events whose items are here already. */
  waitingOnly(event: WorkerEvent): void {
    this.#foldWaiting(event);
  }

  /**
   * Turns in the order of their items: one that goes on from an interrupted one runs before those that were
   * queued earlier.
   */
  get turns(): readonly Turn[] {
    if (this.#turns) return this.#turns;
    const byTurn = new Map<TurnId, Entry[]>();
    const inOrder = [...this.#entries.values()].sort((a, b) => a.item.id - b.item.id);
    for (const entry of inOrder) {
      const entries = byTurn.get(entry.item.turn_id);
      if (entries) entries.push(entry);
      else byTurn.set(entry.item.turn_id, [entry]);
    }
    this.#turns = [...byTurn].map(([id, entries]) => ({
      id,
      entries,
      outcome: this.#outcomes.get(id) ?? null,
    }));
    return this.#turns;
  }

  get waiting(): Waiting[] {
    const of = (how: Waiting["how"], all: Iterable<InputPart[]>) =>
      [...all].map((parts) => ({ how, parts }));
    return [...of("steered", this.#steering.values()), ...of("queued", this.#queued.values())];
  }

  /** The turn that is next in the queue. */
  get nextQueued(): TurnId | undefined {
    return this.#queued.keys().next().value;
  }

  isQueued(turnId: TurnId): boolean {
    return this.#queued.has(turnId);
  }

  get isEmpty(): boolean {
    return this.#entries.size === 0 && this.#queued.size === 0 && this.#steering.size === 0;
  }

  /** Whether a user's message came into a turn that had begun. */
  #joins(item: Item): boolean {
    if (item.kind !== "user_message") return false;
    for (const { item: other } of this.#entries.values()) {
      if (other.turn_id === item.turn_id && other.id < item.id) return true;
    }
    return false;
  }

  /** Adds a piece of an open item's text. Pieces may repeat what is here; offsets are bytes. */
  #delta({ item_id, offset, text }: Of<"item.delta">): void {
    const entry = this.#entries.get(item_id);
    // Without the piece before this one, the snapshot or the finished item will bring both.
    if (!entry || entry.item.status !== "in_progress" || offset > entry.bytes) return;
    const piece = encoder.encode(text);
    const fresh = piece.subarray(entry.bytes - offset);
    if (fresh.length === 0) return;
    const grown = entry.text + (fresh.length === piece.length ? text : decoder.decode(fresh));
    this.#say(entry, grown, entry.bytes + fresh.length);
  }

  #snapshot({ item_id, text }: Of<"item.snapshot">): void {
    const entry = this.#entries.get(item_id);
    if (!entry || entry.item.status !== "in_progress" || entry.text === text) return;
    this.#say(entry, text, encoder.encode(text).length);
  }

  #say(entry: Entry, text: string, bytes: number): void {
    this.#entries.set(entry.item.id, { ...entry, text, bytes, cutOf: null });
    this.#turns = null;
  }

  #foldWaiting(event: WorkerEvent): void {
    switch (event.type) {
      case "input.queued":
        this.#queued.set(event.turn_id, event.parts);
        break;
      case "input.steered":
        this.#steering.set(event.seq, event.parts);
        break;
      case "input.accepted":
        this.#queued.delete(event.turn_id);
        break;
      case "turn.ended":
        // What it did not take in is in the queue.
        if (!this.#queued.delete(event.turn_id)) this.#steering.clear();
        break;
      case "item.completed": {
        if (event.item.kind !== "user_message") break;
        const taken = JSON.stringify(event.item.parts);
        const found = [...this.#steering].find(([, waiting]) => JSON.stringify(waiting) === taken);
        if (found) this.#steering.delete(found[0]);
        break;
      }
    }
  }
}
