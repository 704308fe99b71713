// The types of the Browser API that the console uses, by the names of its OpenAPI. They are written by hand
// until the Backend has one; `npm run types` makes them of it.

export interface Diagnostic {
  code: string;
  message: string;
}

export interface CapabilityStatus {
  name: string;
  available: boolean;
  reason?: string;
}

export interface ModelStatus {
  alias: string;
  provider: string;
  model: string;
}

export interface RootStatus {
  name: string;
  access: Access;
  available: boolean;
  reason?: string;
}

export type Access = "read-only" | "read-write";

/** What turns took; what nobody counted is absent. */
export interface Usage {
  turns: number;
  wall_us: number;
  cpu_us: number;
  model_calls: number;
  input?: number;
  output?: number;
  cached_input?: number;
  reasoning?: number;
}

export interface Overview {
  idle: number;
  running: number;
  stopped: number;
  unavailable: number;
  usage: Usage;
}

/** A Runtime as the Backend lists it; what only it can tell is absent while it does not answer. */
export interface RuntimeListing {
  runtime_id: string;
  source_kind: "embedded" | "remote";
  managed_by?: "config" | "api";
  status: string;
  diagnostics: Diagnostic[];
  display_name?: string;
  version?: string;
  capabilities?: CapabilityStatus[];
  profiles?: string[];
  models?: ModelStatus[];
  roots?: RootStatus[];
  limits?: Record<string, number>;
  overview?: Overview;
}

export interface Preopen {
  root: string;
  path: string;
  guest_path: string;
  access: Access;
  shared?: boolean;
}

export interface Grants {
  preopens?: Preopen[];
  llm?: { models: string[] };
  shell?: { timeout_ms: number };
}

export interface WorkerView {
  runtime_id: string;
  worker_id: string;
  display_name?: string;
  implementation: string;
  profile: string;
  component: string;
  labels: Record<string, string>;
  status: string;
  /** The running turn. */
  turn?: string;
  grants: Grants;
  /** The grants in plain words. */
  authority?: string[];
  revoked?: string[];
  last_seq: number;
  usage: Usage;
  created_at: string;
  diagnostics: Diagnostic[];
}

export interface WorkerPage {
  workers: WorkerView[];
  next: string | null;
  diagnostics?: Diagnostic[];
}

export type InputPart =
  | { type: "text"; text: string }
  | { type: "json"; json: unknown }
  | { type: "image"; media_type: string; data: string };

interface ItemHead {
  id: number;
  turn_id: string;
  origin: "host" | "guest";
  status: "in_progress" | "completed" | "incomplete";
}

export type Item = ItemHead &
  (
    | { kind: "user_message"; parts: InputPart[] }
    | { kind: "assistant_message"; text: string; model?: string }
    | { kind: "reasoning"; text: string }
    | { kind: "tool_call"; call_id: string; name: string; arguments: unknown }
    | { kind: "tool_result"; call_id: string; outcome: "ok" | "error" | "interrupted"; text: string }
    | { kind: "notice"; level: "info" | "warning"; text: string }
    | { kind: "unknown" }
  );

export interface TranscriptPage {
  items: Item[];
  cut?: { item_id: number; bytes: number }[];
  first_item: number | null;
  last_item: number | null;
  more_before: boolean;
  more_after: boolean;
  cursor: string;
}

export interface Outcome {
  status: string;
  message?: string;
  reason?: string;
}

export interface Receipt {
  wall_us: number;
  cpu_us: number;
  peak_memory_bytes?: number;
  model_calls: number;
}

export interface TurnUsage {
  turn_id: string;
  ended_at: string;
  outcome: Outcome;
  receipt: Receipt;
}

export interface WorkerUsage {
  total: Usage;
  turns: TurnUsage[];
  more_before: boolean;
}

/** An event of a Worker's log, or a live piece of an item: those have no `seq`. */
export interface WorkerEvent {
  type: string;
  seq?: number;
  cursor?: string;
  turn_id?: string;
  item?: Item;
  parts?: InputPart[];
  outcome?: Outcome;
  item_id?: number;
  offset?: number;
  text?: string;
}

export interface EventPage {
  events: (WorkerEvent & { seq: number })[];
  next: string;
}

export type IfBusy = "reject" | "queue" | "steer";

export interface Accepted {
  turn_id: string;
  seq: number;
  status: "running" | "queued" | "steered";
}

export interface CreateBody {
  profile: string;
  workspace?: string;
  display_name?: string;
  input?: { text: string };
}

/** What a Worker would be granted that is created now. */
export interface LaunchPreview {
  profile: string;
  workspace: string | null;
  grants: Grants;
  authority: string[];
}

export type TokenReference = { env: string } | { file: string };

export interface RegisterBody {
  runtime_id: string;
  endpoint: string;
  token: TokenReference;
}

export interface TestResult {
  reached: boolean;
  runtime_id: string;
  display_name: string;
  version: string;
  latency_ms: number;
}

/** An answer that is no success, as it crosses the wire. */
export interface ProblemBody {
  status?: number;
  code?: string;
  detail?: string;
  retryable?: boolean;
  /** Of a `cursor_gap`: where the log begins now. */
  oldest?: string;
}
