// What the console says of the Browser API, in the words of its OpenAPI (`schema.ts`).

import type { components, paths } from "./schema.ts";

type Schemas = components["schemas"];

export type Access = Schemas["Access"];
export type ConnectionTest = Schemas["ConnectionTest"];
export type CreateBody = Schemas["CreateBody"];
export type Diagnostic = Schemas["Diagnostic"];
export type EventPage = Schemas["EventPage"];
export type Grants = Schemas["Grants"];
export type IfBusy = Schemas["IfBusy"];
export type InputPart = Schemas["InputPart"];
export type Item = Schemas["Item"];
export type Limits = Schemas["Limits"];
export type ModelStatus = Schemas["ModelStatus"];
export type Outcome = Schemas["Outcome"];
export type Preopen = Schemas["Preopen"];
export type RemoteDefinition = Schemas["RemoteDefinition"];
export type RuntimeChanged = Schemas["RuntimeChanged"];
export type RuntimeListing = Schemas["RuntimeListing"];
export type SignInState = Schemas["SignInState"];
export type TranscriptPage = Schemas["TranscriptPage"];
export type TurnId = Schemas["TurnId"];
export type WorkerChanged = Schemas["WorkerChanged"];
export type WorkerPage = Schemas["WorkersInWords"];
export type WorkerStatus = NonNullable<NonNullable<paths["/api/workers"]["get"]["parameters"]["query"]>["status"]>;
export type WorkerUsage = Schemas["WorkerUsage"];
export type WorkerView = Schemas["WorkerInWords"];

/** An event of a Worker's log; in the stream for browsers it has the place after it. */
export type LogEvent = Schemas["EventBody"] & { seq: Schemas["Seq"]; cursor?: Schemas["Cursor"] };

/** What comes of a Worker: an event of its log, or a live piece of an item, which has no `seq`. */
export type WorkerEvent =
  | LogEvent
  | ({ type: "item.delta" } & Schemas["ItemDelta"])
  | ({ type: "item.snapshot" } & Schemas["ItemSnapshot"]);

/** An answer that is no success. Of one that did not come from the Backend nothing is known. */
export type ProblemBody = Partial<Omit<Schemas["Problem"], "code">> & { code?: string };

/** The turn that a Worker runs. */
export const turnOf = (worker: WorkerView): TurnId | undefined =>
  worker.status === "running" ? worker.turn : undefined;
