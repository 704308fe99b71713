// One Worker that is looked at: loads what there is, then follows it.

import * as api from "../api/client.ts";
import { ApiError, type WorkerPlace } from "../api/client.ts";
import { type ProblemBody, type TranscriptPage, type TurnId, turnOf, type WorkerEvent, type WorkerUsage, type WorkerView } from "../api/types.ts";
import type { Follower, Link } from "../stream/link.ts";
import { Transcript } from "./transcript.ts";

const FIRST_PAUSE_MS = 250;
const LONGEST_PAUSE_MS = 5_000;

/** How long an event may be on its way that the Backend has. */
const ON_THE_WAY_MS = 1_000;

/** The codes for an id that no Worker has, or that cannot be one. */
const NO_SUCH_WORKER = ["unknown_worker", "unknown_runtime", "invalid_input", "not_found"];

export interface Followed {
  /** Absent until it is known. */
  worker: WorkerView | null;
  transcript: Transcript;
  usage: WorkerUsage | null;
  /** What it is doing; values that this page does not know count as busy. */
  status: string;
  turn: TurnId | undefined;
  /** Older items lie before those that are here. */
  hasEarlier: boolean;
  loading: boolean;
  /** Why it cannot be shown. */
  problem: unknown;
  /** Its Runtime cannot be reached, so nothing new is heard of it. */
  away: boolean;
  /** It does not exist, or not any more. */
  gone: boolean;
}

const nothingYet = (): Followed => ({
  worker: null,
  transcript: new Transcript(),
  usage: null,
  status: "unknown",
  turn: undefined,
  hasEarlier: false,
  loading: true,
  problem: null,
  away: false,
  gone: false,
});

export const isRunning = (status: string): boolean =>
  !["idle", "stopped", "unavailable"].includes(status);

export class FollowedWorker implements Follower {
  readonly place: WorkerPlace;
  readonly #link: Link;
  readonly #changed: () => void;
  readonly #key: string;
  readonly state: Followed = nothingYet();
  #cursor: string | null = null;
  /** The newest event that came; unknown until one has. */
  #seq: number | null = null;
  #oldest: number | null = null;
  #closed = false;
  #failures = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #loads = 0;
  readonly #stopListening: () => void;
  /** What comes is not for what is shown, until it has been read anew. */
  #stale = true;

  constructor(place: WorkerPlace, link: Link, changed: () => void) {
    this.place = place;
    this.#link = link;
    this.#changed = changed;
    this.#key = `${place.runtime}/${place.worker}`;
    this.#stopListening = link.onRuntime(({ runtime_id, status }) => {
      if (runtime_id !== place.runtime || this.#stale) return;
      // Its stream may have ended with the Runtime, and the Backend opens none anew by itself.
      if (status === "ready") void this.open();
      else if (status === "unavailable") this.#showAway();
    });
  }

  /** Loads what there is, and follows from there. */
  async open(): Promise<void> {
    const load = ++this.#loads;
    this.#stale = true;
    const stale = () => this.#closed || load !== this.#loads;
    try {
      const page = await api.transcript(this.place);
      // Read after the transcript, so at least as new; the stream repeats what lies between.
      const [worker, usage] = await Promise.all([api.worker(this.place), api.usage(this.place)]);
      const running = worker.status === "running";
      const events = running ? await api.newestEvents(this.place, worker.last_seq) : [];
      if (stale()) return;
      const transcript = new Transcript();
      transcript.page(page);
      for (const { turn_id, outcome } of usage.turns) transcript.end(turn_id, outcome);
      for (const event of events) transcript.waitingOnly(event);
      const { status } = worker;
      Object.assign(this.state, nothingYet(), { worker, usage, transcript, status, turn: turnOf(worker) });
      this.state.loading = false;
      this.#showOldest(page);
      this.#cursor = page.cursor;
      this.#seq = null;
      this.#failures = 0;
      this.#stale = false;
      this.#link.follow(this.#key, page.cursor, this);
      this.#changed();
    } catch (error) {
      if (!stale()) await this.#failed(error);
    }
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#stopListening();
    this.#link.unfollow(this.#key, this);
  }

  async showEarlier(): Promise<void> {
    if (this.#oldest === null) return;
    const page = await api.transcript(this.place, this.#oldest);
    if (this.#closed) return;
    this.state.transcript.page(page);
    this.#showOldest(page);
    this.#changed();
  }

  /** Puts all of an item in the place of its beginning. */
  async showWhole(id: number): Promise<void> {
    const item = await api.item(this.place, id);
    if (this.#closed) return;
    this.state.transcript.put(item);
    this.#changed();
  }

  event(event: WorkerEvent): void {
    if (this.#stale) return;
    this.state.away = false;
    if ("seq" in event) {
      if (this.#seq !== null && event.seq <= this.#seq) return;
      // Another tab knew more than this one, and the stream went on from its place.
      if (this.#seq !== null && event.seq > this.#seq + 1) {
        void this.open();
        return;
      }
      this.#seq = event.seq;
      if (event.cursor !== undefined) this.#cursor = event.cursor;
    }
    this.#foldState(event);
    this.state.transcript.event(event);
    this.#changed();
  }

  moved(cursor: string): void {
    if (this.#stale || cursor === this.#cursor) return;
    // Without an event there is no telling which place comes first.
    if (this.#seq === null) void this.open();
    else void this.#catchUp();
  }

  /** The stream goes on from the place of another tab. Events that it passed over are missed by the next one, and
   * where there is none, by nobody but the Worker. */
  async #catchUp(): Promise<void> {
    const newest = await api.worker(this.place).then(({ last_seq }) => last_seq, () => Infinity);
    await new Promise((done) => setTimeout(done, ON_THE_WAY_MS));
    const isBehind = this.#seq !== null && this.#seq < newest;
    if (isBehind && !this.#stale && !this.#closed) void this.open();
  }

  failed(problem: ProblemBody): void {
    const error = new ApiError(problem.status ?? 0, problem);
    if (NO_SUCH_WORKER.includes(error.code)) void this.#failed(error);
    // The log does not go back as far any more, or it is another one: what was said is read anew.
    else if (error.code === "cursor_gap" || error.code === "invalid_cursor") void this.open();
    else this.#openLater(error);
  }

  #showAway(): void {
    this.state.away = true;
    this.#changed();
  }

  #showOldest(page: TranscriptPage): void {
    this.#oldest = page.more_before ? (page.first_item ?? null) : null;
    this.state.hasEarlier = this.#oldest !== null;
  }

  #foldState(event: WorkerEvent): void {
    const { state } = this;
    switch (event.type) {
      case "input.accepted":
      case "turn.started":
        state.status = "running";
        state.turn = event.turn_id;
        break;
      case "turn.ended": {
        // One that waited and never ran says nothing about the one that runs.
        if (state.transcript.isQueued(event.turn_id)) break;
        const next = state.transcript.nextQueued;
        if (state.status !== "stopped") state.status = next ? "running" : "idle";
        state.turn = next;
        void this.#refresh();
        break;
      }
      case "worker.stopped":
        state.status = "stopped";
        break;
      case "worker.started":
        state.status = "idle";
        break;
      case "worker.upgraded":
      case "grant.revoked":
        void this.#refresh();
        break;
      case "worker.deleted":
        void this.#failed(new ApiError(404, { code: "unknown_worker" }));
        break;
    }
  }

  /** Reads what no event says: what was used, and what is granted. */
  async #refresh(): Promise<void> {
    try {
      const [worker, usage] = await Promise.all([api.worker(this.place), api.usage(this.place)]);
      if (this.#closed) return;
      Object.assign(this.state, { worker, usage });
      this.#changed();
    } catch {
      // What is shown stays as it was; a connection that is lost is said elsewhere.
    }
  }

  async #failed(error: unknown): Promise<void> {
    const code = error instanceof ApiError ? error.code : "";
    if (NO_SUCH_WORKER.includes(code)) {
      this.state.gone = true;
      this.state.loading = false;
      this.close();
    } else if (code === "worker_unavailable") {
      await this.#showUnavailable(error);
    } else {
      this.#openLater(error);
    }
    this.#changed();
  }

  /** What cannot be read is said once, and not asked for again and again. */
  async #showUnavailable(error: unknown): Promise<void> {
    const worker = await api.worker(this.place).catch(() => null);
    const diagnostics = [{ code: "worker_unavailable", message: api.messageOf(error) }];
    if (worker) worker.diagnostics = [...worker.diagnostics, ...diagnostics];
    Object.assign(this.state, nothingYet(), { worker, status: "unavailable", loading: false });
  }

  #openLater(error: unknown): void {
    this.state.problem = error;
    const pause = Math.min(FIRST_PAUSE_MS * 2 ** this.#failures, LONGEST_PAUSE_MS);
    this.#failures += 1;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.open(), pause);
    this.#changed();
  }
}
