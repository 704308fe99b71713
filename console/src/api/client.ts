// The Browser API, one function for each thing the console asks.

import { duration } from "../text/words.ts";
import type { paths } from "./schema.ts";
import type {
  CreateBody,
  EventPage,
  IfBusy,
  ProblemBody,
  RemoteDefinition,
  RuntimeListing,
  TurnId,
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

type Method = "get" | "post" | "put" | "delete";
/** The paths that take the method. */
type PathOf<M extends Method> = { [P in keyof paths]: paths[P][M] extends object ? P : never }[keyof paths];
type Operation<M extends Method, P extends PathOf<M>> = paths[P][M];

type Placed<O> = O extends { parameters: { path: infer At } } ? { at: At } : { at?: never };
type Queried<O> = O extends { parameters: { query?: infer Query } } ? { query?: Optional<Query> } : never;
type Bodied<O> = O extends { requestBody: { content: { "application/json": infer Body } } }
  ? { body: Body }
  : O extends { requestBody?: { content: { "application/json": infer Body } } }
    ? { body?: Body }
    : { body?: never };
/** What is empty is left out. */
type Optional<Query> = { [Name in keyof Query]: Query[Name] | undefined };
type Asked<O> = Placed<O> & Queried<O> & Bodied<O> & { key?: string };

type Content<Response> = Response extends { content: { "application/json": infer Body } } ? Body : null;
type Answer<O> = O extends { responses: infer All } ? Content<All[keyof All & (200 | 201 | 202 | 204)]> : never;

function address(path: string, at: object = {}, query: object = {}): string {
  const place = new Map(Object.entries(at));
  const filled = path.replaceAll(/\{(\w+)\}/g, (_, name) => encodeURIComponent(String(place.get(name))));
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    for (const one of [value].flat()) if (one !== undefined && one !== "") search.append(name, String(one));
  }
  return search.size > 0 ? `${filled}?${search}` : filled;
}

async function ask<M extends Method, P extends PathOf<M>>(
  method: M,
  path: P,
  asked: Asked<Operation<M, P>>,
): Promise<Answer<Operation<M, P>>> {
  const response = await request(method, path, asked);
  const answer: unknown = await response.json().catch(() => null);
  if (!response.ok) throw new ApiError(response.status, (answer ?? {}) as ProblemBody);
  return answer as Answer<Operation<M, P>>;
}

function request<M extends Method, P extends PathOf<M>>(
  method: M,
  path: P,
  { at, query, body, key }: Asked<Operation<M, P>>,
): Promise<Response> {
  const headers: Record<string, string> = {};
  if (body !== undefined) headers["content-type"] = "application/json";
  if (key !== undefined) headers["idempotency-key"] = key;
  const sent = body === undefined ? null : JSON.stringify(body);
  const init = { method: method.toUpperCase(), headers, body: sent };
  return fetch(address(path, at, query), init).catch(() => {
    throw new ApiError(0, { code: "unreachable", detail: UNREACHABLE });
  });
}

export const signInState = () => ask("get", "/api/login", {});
export const signOut = () => ask("post", "/api/logout", {});

/** Signs this browser in; where the password does not do that, why, for people. */
export async function signIn(password: string): Promise<string | null> {
  const response = await request("post", "/api/login", { body: { password } });
  if (response.ok) return null;
  if (response.status === 401) return "That is not the password.";
  const problem = (await response.json().catch(() => ({}))) as ProblemBody;
  if (response.status !== 429) throw new ApiError(response.status, problem);
  const seconds = Number(response.headers.get("retry-after"));
  return `Too many tries. The next one counts in ${duration(seconds * 1e6)}.`;
}

const RUNTIME = "/api/runtimes/{runtime_id}";
const WORKERS = `${RUNTIME}/workers` as const;
const WORKER = `${WORKERS}/{worker_id}` as const;

export async function runtimes(): Promise<RuntimeListing[]> {
  return (await ask("get", "/api/runtimes", {})).runtimes;
}

export const registerRuntime = (body: RemoteDefinition) => ask("post", "/api/runtimes", { body });
export const replaceRuntime = ({ runtime_id, ...body }: RemoteDefinition) =>
  ask("put", RUNTIME, { at: { runtime_id }, body });
/** Whether a Runtime that is not registered yet would be reached. */
export const testNewRuntime = (body: RemoteDefinition) => ask("post", "/api/connection-tests", { body });
export const testRuntime = (runtime_id: string) => ask("post", `${RUNTIME}/test`, { at: { runtime_id } });
export const removeRuntime = (runtime_id: string, force: boolean) =>
  ask("delete", RUNTIME, { at: { runtime_id }, query: { force: force || undefined } });

export async function workspaces(): Promise<string[]> {
  const answer = await ask("get", "/api/workspaces", {});
  return answer.workspaces.map(({ workspace }) => workspace);
}

export const launch = (runtime_id: string, profile: string, workspace: string) =>
  ask("get", `${RUNTIME}/launch`, { at: { runtime_id }, query: { profile, workspace } });

/** Which Workers are wanted; what is empty does not matter. */
export interface WorkerFilter extends Omit<WorkerQuery, "label"> {
  runtime?: string;
  workspace?: string;
}

type WorkerQuery = NonNullable<paths["/api/workers"]["get"]["parameters"]["query"]>;

export function workers({ runtime, workspace, ...rest }: WorkerFilter) {
  // The Workers of a workspace have its name as a label.
  const query = { ...rest, label: workspace ? [`workspace:${workspace}`] : undefined };
  return runtime ? ask("get", WORKERS, { at: { runtime_id: runtime }, query }) : ask("get", "/api/workers", { query });
}

/** Where one Worker is. */
export interface WorkerPlace {
  runtime: string;
  worker: string;
}

const of = ({ runtime, worker }: WorkerPlace) => ({ runtime_id: runtime, worker_id: worker });

/** Creates a Worker; asking again with the same key creates no second one. */
export const create = (runtime_id: string, body: CreateBody, key: string) =>
  ask("post", WORKERS, { at: { runtime_id }, body, key });
export const worker = (place: WorkerPlace) => ask("get", WORKER, { at: of(place) });
export const send = (place: WorkerPlace, text: string, if_busy: IfBusy, key: string) =>
  ask("post", `${WORKER}/input`, { at: of(place), body: { text, if_busy }, key });
export const cancel = (place: WorkerPlace, turn_id: TurnId | undefined) =>
  ask("post", `${WORKER}/cancel`, { at: of(place), body: turn_id === undefined ? {} : { turn_id } });
export const stop = (place: WorkerPlace) => ask("post", `${WORKER}/stop`, { at: of(place) });
export const start = (place: WorkerPlace) => ask("post", `${WORKER}/start`, { at: of(place) });
export const remove = (place: WorkerPlace) => ask("delete", WORKER, { at: of(place) });
export const transcript = (place: WorkerPlace, before?: number) =>
  ask("get", `${WORKER}/transcript`, { at: of(place), query: { before } });
/** One item, all of it. */
export const item = (place: WorkerPlace, item_id: number) =>
  ask("get", `${WORKER}/items/{item_id}`, { at: { ...of(place), item_id } });
/** How the newest turns ended: enough for those on the screen. */
export const usage = (place: WorkerPlace) =>
  ask("get", `${WORKER}/usage`, { at: of(place), query: { limit: 1000 } });
const eventPage = (place: WorkerPlace, after: string) =>
  ask("get", `${WORKER}/events`, { at: of(place), query: { after, limit: 1000 } });

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
export const workersOf = (runtime: string, after?: string) => workers({ runtime, limit: 1000, ...(after && { after }) });
