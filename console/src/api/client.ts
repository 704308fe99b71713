// The Browser API, one function for each thing the console asks.

import type {
  Accepted,
  CreateBody,
  EventPage,
  IfBusy,
  Item,
  LaunchPreview,
  ProblemBody,
  RegisterBody,
  RuntimeListing,
  TestResult,
  TranscriptPage,
  WorkerPage,
  WorkerUsage,
  WorkerView,
} from "./types.ts";

const SIGNED_OUT = "This browser is signed out. Run `yoi url` for a new link.";
const UNREACHABLE = "The server cannot be reached. Is yoi still running?";

/** An answer that is no success; `code` is for decisions, the message for people. */
export class ApiError extends Error {
  readonly status: number;
  readonly code: string;
  readonly oldest: string | undefined;

  constructor(status: number, problem: ProblemBody) {
    super(status === 401 ? SIGNED_OUT : (problem.detail ?? `The server answered ${status}.`));
    this.status = status;
    this.code = problem.code ?? "unknown";
    this.oldest = problem.oldest;
  }

  /** Whether asking again cannot help. */
  get isRefusal(): boolean {
    return this.status >= 400 && this.status < 500;
  }
}

/** What a person is told of an error; one of this page's own making is also reported. */
export function messageOf(error: unknown): string {
  if (error instanceof ApiError) return error.message;
  console.error(error);
  return "Something in this page went wrong. Reload it, please.";
}

type Query = Record<string, string | number | undefined>;

function pathOf(segments: string[], query: Query = {}): string {
  const pairs = Object.entries(query).filter(([, value]) => value !== undefined && value !== "");
  const search = new URLSearchParams(pairs.map(([name, value]) => [name, String(value)]));
  const path = `/api/${segments.map(encodeURIComponent).join("/")}`;
  return pairs.length > 0 ? `${path}?${search}` : path;
}

async function ask<T>(method: string, path: string, body?: unknown, key?: string): Promise<T> {
  const headers: Record<string, string> = {};
  if (body !== undefined) headers["content-type"] = "application/json";
  if (key !== undefined) headers["idempotency-key"] = key;
  const sent = body === undefined ? null : JSON.stringify(body);
  const response = await fetch(path, { method, headers, body: sent }).catch(() => {
    throw new ApiError(0, { code: "unreachable", detail: UNREACHABLE });
  });
  const answer: unknown = await response.json().catch(() => ({}));
  if (!response.ok) throw new ApiError(response.status, answer as ProblemBody);
  return answer as T;
}

export async function runtimes(): Promise<RuntimeListing[]> {
  return (await ask<{ runtimes: RuntimeListing[] }>("GET", pathOf(["runtimes"]))).runtimes;
}

export const registerRuntime = (body: RegisterBody) =>
  ask<RuntimeListing>("POST", pathOf(["runtimes"]), body);
/** Whether a Runtime that is not registered yet would be reached. */
export const testNewRuntime = (body: RegisterBody) =>
  ask<TestResult>("POST", pathOf(["connection-tests"]), body);
export const testRuntime = (id: string) => ask<TestResult>("POST", pathOf(["runtimes", id, "test"]));
export const removeRuntime = (id: string, force: boolean) =>
  ask<unknown>("DELETE", pathOf(["runtimes", id], { force: force ? "true" : undefined }));

export async function workspaces(): Promise<string[]> {
  const answer = await ask<{ workspaces: { workspace: string }[] }>("GET", pathOf(["workspaces"]));
  return answer.workspaces.map(({ workspace }) => workspace);
}

export const launch = (runtime: string, profile: string, workspace: string) =>
  ask<LaunchPreview>("GET", pathOf(["runtimes", runtime, "launch"], { profile, workspace }));

/** Which Workers are wanted; what is empty does not matter. */
export interface WorkerFilter {
  runtime?: string;
  status?: string;
  workspace?: string;
  after?: string;
  limit?: number;
}

export function workers({ runtime, workspace, ...query }: WorkerFilter): Promise<WorkerPage> {
  const segments = runtime ? ["runtimes", runtime, "workers"] : ["workers"];
  // The Workers of a workspace have its name as a label.
  const label = workspace ? `workspace:${workspace}` : undefined;
  return ask<WorkerPage>("GET", pathOf(segments, { ...query, label }));
}

/** Where one Worker is. */
export interface WorkerPlace {
  runtime: string;
  worker: string;
}

const ofWorker = ({ runtime, worker }: WorkerPlace, rest: string[] = [], query: Query = {}) =>
  pathOf(["runtimes", runtime, "workers", worker, ...rest], query);

/** Creates a Worker; asking again with the same key creates no second one. */
export const create = (runtime: string, body: CreateBody, key: string) =>
  ask<WorkerView>("POST", pathOf(["runtimes", runtime, "workers"]), body, key);
export const worker = (place: WorkerPlace) => ask<WorkerView>("GET", ofWorker(place));
export const send = (place: WorkerPlace, text: string, if_busy: IfBusy, key: string) =>
  ask<Accepted>("POST", ofWorker(place, ["input"]), { text, if_busy }, key);
export const cancel = (place: WorkerPlace, turn_id: string | undefined) =>
  ask<unknown>("POST", ofWorker(place, ["cancel"]), { turn_id });
export const stop = (place: WorkerPlace) => ask<unknown>("POST", ofWorker(place, ["stop"]));
export const start = (place: WorkerPlace) => ask<unknown>("POST", ofWorker(place, ["start"]));
export const remove = (place: WorkerPlace) => ask<unknown>("DELETE", ofWorker(place));
export const transcript = (place: WorkerPlace, before?: number) =>
  ask<TranscriptPage>("GET", ofWorker(place, ["transcript"], { before }));
/** One item, all of it. */
export const item = (place: WorkerPlace, id: number) =>
  ask<Item>("GET", ofWorker(place, ["items", String(id)]));
/** How the newest turns ended: enough for those on the screen. */
export const usage = (place: WorkerPlace) =>
  ask<WorkerUsage>("GET", ofWorker(place, ["usage"], { limit: 1000 }));
const eventPage = (place: WorkerPlace, after: string) =>
  ask<EventPage>("GET", ofWorker(place, ["events"], { after, limit: 1000 }));

/** The newest durable events up to `lastSeq`: enough to know what waits for its turn. */
export async function newestEvents(place: WorkerPlace, lastSeq: number): Promise<EventPage["events"]> {
  const events: EventPage["events"] = [];
  let after = String(Math.max(0, lastSeq - 1000));
  while ((events.at(-1)?.seq ?? 0) < lastSeq) {
    try {
      const page = await eventPage(place, after);
      if (page.events.length === 0) break;
      events.push(...page.events);
      after = page.next;
    } catch (error) {
      // What is older was removed; what is left is newer.
      const oldest = error instanceof ApiError && error.code === "cursor_gap" ? error.oldest : undefined;
      if (oldest === undefined || oldest === after) throw error;
      after = oldest;
    }
  }
  return events;
}

/** The Workers of one Runtime, oldest first. */
export const workersOf = (runtime: string, after?: string) =>
  ask<WorkerPage>("GET", pathOf(["runtimes", runtime, "workers"], { after, limit: 1000 }));
