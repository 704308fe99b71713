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
  #accepted = new Map();
  #oldest = null;

  constructor(id, view, on) {
    this.id = id;
    this.#view = view;
    this.#on = on;
  }

  /** Loads what there is, and follows from there. */
  async open() {
    const page = await api.transcript(this.id);
    // Read after the transcript, so at least as new; the stream repeats what lies between.
    const worker = await api.worker(this.id);
    const events = await api.newestEvents(this.id, worker.last_seq);
    if (this.#closed) return;
    this.#view.clear();
    this.#show(page);
    for (const event of events) {
      if (event.type === "turn.ended") this.#view.end(event.turn_id, event.outcome);
      if (event.type === "input.accepted") this.#accepted.set(event.item.turn_id, event.item);
    }
    this.#cursor = page.cursor;
    this.#seq = 0;
    this.#on.state(worker);
    this.#on.changed();
    this.resume();
  }

  get hasEarlier() {
    return this.#oldest !== null;
  }

  async showEarlier() {
    const page = await api.transcript(this.id, this.#oldest);
    if (!this.#closed) this.#show(page);
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
        fold(event);
        this.#on.changed();
      });
    follow("input.accepted", ({ item }) => this.#accepted.set(item.turn_id, item));
    follow("turn.started", ({ turn_id }) => {
      // The person's message takes its place now, not when it was accepted.
      if (this.#accepted.has(turn_id)) this.#view.put(this.#accepted.get(turn_id));
      this.#on.state({ status: "running", turn: turn_id });
    });
    follow("turn.ended", ({ turn_id, outcome }) => {
      this.#view.end(turn_id, outcome);
      this.#on.state({ status: "idle" });
    });
    follow("item.started", ({ item }) => this.#view.put(item));
    follow("item.completed", ({ item }) => this.#view.put(item));
    follow("item.delta", (piece) => this.#view.delta(piece));
    follow("item.snapshot", (whole) => this.#view.snapshot(whole));
    follow("worker.stopped", () => this.#on.state({ status: "stopped" }));
    follow("worker.started", () => this.#on.state({ status: "idle" }));
    follow("problem", (problem) => this.#on.problem(new api.ApiError(problem.status, problem)));
  }

  #show(page) {
    for (const item of page.items) this.#view.put(item);
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
