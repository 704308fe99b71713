// One open conversation: loads its transcript, then follows its events.

import * as api from "./api.js";

const LONGEST_PAUSE_MS = 10_000;

/**
 * Follows a Worker and tells `on` about it: `state(worker)`, `connection("live" | "lost")`,
 * `changed()` and `problem(error)`.
 */
export class Conversation {
  #view;
  #on;
  #source = null;
  #retry = null;
  #failures = 0;
  #closed = false;
  #cursor = null;
  #seq = 0;
  /** Messages that wait: in the queue by their turns, and for the running turn by their events. */
  #queued = new Map();
  #steering = new Map();
  #oldest = null;

  constructor(id, view, on) {
    this.id = id;
    this.#view = view;
    this.#on = on;
  }

  /** Loads what there is, and follows from there. */
  async open() {
    let page, worker, ends, events;
    try {
      page = await api.transcript(this.id);
      // Read after the transcript, so at least as new; the stream repeats what lies between.
      worker = await api.worker(this.id);
      ends = await api.turnEnds(this.id);
      events = worker.status === "running" ? await api.newestEvents(this.id, worker.last_seq) : [];
    } catch (error) {
      if (error.code !== "worker_unavailable") throw error;
      return this.#showUnavailable(error);
    }
    if (this.#closed) return;
    this.#view.clear();
    this.#show(page);
    for (const { turn_id, outcome } of ends) this.#view.end(turn_id, outcome);
    this.#queued.clear();
    this.#steering.clear();
    for (const event of events) this.#foldWaiting(event);
    this.#showWaiting();
    this.#cursor = page.cursor;
    this.#seq = 0;
    this.#on.state(worker);
    this.#on.changed();
    this.resume();
  }

  /** What cannot be read is said once, and not asked for again and again. */
  async #showUnavailable(error) {
    const worker = await api.worker(this.id);
    if (this.#closed) return;
    this.#view.clear();
    const diagnostics = [...worker.diagnostics, { message: error.message }];
    this.#on.state({ ...worker, status: "unavailable", diagnostics });
  }

  get hasEarlier() {
    return this.#oldest !== null;
  }

  async showEarlier() {
    const page = await api.transcript(this.id, this.#oldest);
    if (!this.#closed) this.#show(page);
  }

  /** Shows all of an item of which only the beginning is shown. */
  async showWhole(itemId) {
    const item = await api.item(this.id, itemId);
    if (!this.#closed) this.#view.put(item);
  }

  close() {
    this.#closed = true;
    this.pause();
  }

  /** Lets go of the connection: browsers have few of them, and hidden pages need none. */
  pause() {
    clearTimeout(this.#retry);
    this.#source?.close();
    this.#source = null;
  }

  /** Follows the events after the last one seen. */
  resume() {
    if (this.#closed || this.#source || this.#cursor === null) return;
    const source = api.eventSource(this.id, this.#cursor);
    this.#source = source;
    source.onopen = () => {
      this.#failures = 0;
      this.#on.connection("live");
    };
    source.onerror = () => {
      this.#on.connection("lost");
      // Unless it was refused, the browser reconnects by itself, from the last event it saw.
      if (source.readyState === EventSource.CLOSED) this.#reopenLater();
    };
    const follow = (type, fold) =>
      source.addEventListener(type, (message) => {
        const event = JSON.parse(message.data);
        if (event.seq !== undefined) {
          this.#cursor = message.lastEventId;
          if (event.seq <= this.#seq) return;
          this.#seq = event.seq;
        }
        const waits = this.#queued.has(event.turn_id);
        if (this.#foldWaiting(event)) this.#showWaiting();
        fold(event, waits);
        this.#on.changed();
      });
    follow("input.queued", () => {});
    follow("input.steered", () => {});
    follow("input.accepted", ({ turn_id, item }) => {
      this.#view.put(item);
      this.#on.state({ status: "running", turn: turn_id });
    });
    follow("turn.started", ({ turn_id }) => this.#on.state({ status: "running", turn: turn_id }));
    follow("turn.ended", ({ turn_id, outcome }, waited) => {
      this.#view.end(turn_id, outcome);
      if (waited) return;
      const [next] = this.#queued.keys();
      this.#on.state(next ? { status: "running", turn: next } : { status: "idle" });
    });
    follow("item.started", ({ item }) => this.#view.put(item));
    follow("item.completed", ({ item }) => this.#view.put(item));
    follow("item.delta", (piece) => this.#view.delta(piece));
    follow("item.snapshot", (whole) => this.#view.snapshot(whole));
    follow("worker.stopped", () => this.#on.state({ status: "stopped" }));
    follow("worker.started", () => this.#on.state({ status: "idle" }));
    follow("worker.deleted", () => {
      this.close();
      this.#on.problem(new api.ApiError(404, { code: "unknown_worker" }));
    });
    follow("problem", (problem) => {
      // The log does not go back as far any more: what was said is read anew.
      if (problem.code === "cursor_gap") return this.#reopenLater();
      return this.#on.problem(new api.ApiError(problem.status, problem));
    });
  }

  /** Keeps track of the messages that wait; returns whether the event was about any. */
  #foldWaiting({ type, seq, turn_id: turn, parts, item }) {
    switch (type) {
      case "input.queued":
        return this.#queued.set(turn, parts);
      case "input.steered":
        return this.#steering.set(seq, parts);
      case "input.accepted":
        return this.#queued.delete(turn);
      case "turn.ended": {
        if (this.#queued.delete(turn)) return true;
        // What it did not take in is in the queue.
        const left = this.#steering.size > 0;
        this.#steering.clear();
        return left;
      }
      case "item.completed": {
        if (item.kind !== "user_message") return false;
        const taken = JSON.stringify(item.parts);
        const same = ([, waiting]) => JSON.stringify(waiting) === taken;
        return this.#steering.delete([...this.#steering].find(same)?.[0]);
      }
      default:
        return false;
    }
  }

  #showWaiting() {
    const messages = (waiting, how) => [...waiting.values()].map((parts) => ({ parts, how }));
    this.#view.wait([...messages(this.#steering, "steered"), ...messages(this.#queued, "queued")]);
  }

  #show(page) {
    const cut = new Map((page.cut ?? []).map(({ item_id: id, bytes }) => [id, bytes]));
    for (const item of page.items) this.#view.put(item, cut.get(item.id));
    this.#oldest = page.more_before ? page.first_item : null;
  }

  /** Reads everything anew: the server did not like the place in the log, or was not there. */
  #reopenLater() {
    this.pause();
    this.#failures += 1;
    const pause = Math.min(250 * 2 ** this.#failures, LONGEST_PAUSE_MS);
    this.#retry = setTimeout(async () => {
      try {
        await this.open();
      } catch (error) {
        if (this.#closed) return;
        this.#on.problem(error);
        const refused = error.status >= 400 && error.status < 500;
        if (!refused) this.#reopenLater();
      }
    }, pause);
  }
}
