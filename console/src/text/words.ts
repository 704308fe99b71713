// Numbers, times and authority in plain words.

import type { Grants, ModelStatus, Preopen, WorkerView } from "../api/types.ts";

/** A directory that was granted, in the fewest words. */
export const shortly = ({ guest_path, access }: Preopen): string =>
  access === "read-write" ? `writes ${guest_path}` : `reads ${guest_path}`;

function directory({ root, path, guest_path, access, shared }: Preopen): string {
  const what = access === "read-write" ? "read and write" : "read";
  const of = root === "scratch" ? "its own directory, which goes with it" : `root ${root}`;
  const place = [of, path, shared ? "with others" : ""].filter((word) => word && word !== ".");
  return `may ${what} ${guest_path} (${place.join(", ")})`;
}

/** What grants allow, one sentence for each; none where they allow nothing. */
export function inWords({ preopens = [], llm, shell }: Grants): string[] {
  const said = preopens.map(directory);
  if (llm) said.push(`may ask the models ${llm.models.join(", ")}`);
  if (shell) {
    said.push(`may run scripts on these directories, each for at most ${duration(shell.timeout_ms * 1e3)}`);
  }
  return said;
}

export const authorityOf = (worker: WorkerView): string[] =>
  worker.authority ?? inWords(worker.grants);

/** A Worker's name; one without is told by its time of day, or by its date when that is past. */
export function titleOf(worker: Pick<WorkerView, "display_name" | "created_at">, now = new Date()): string {
  if (worker.display_name) return worker.display_name;
  const made = new Date(worker.created_at);
  const today = made.toDateString() === now.toDateString();
  const when: Intl.DateTimeFormatOptions = today ? { timeStyle: "short" } : { dateStyle: "short" };
  return `Untitled, ${made.toLocaleString(undefined, when)}`;
}

/** The models that stand behind the aliases that are granted. */
export function modelsOf(grants: Grants | null, models: ModelStatus[]): ModelStatus[] {
  const granted = grants === null ? models.map(({ alias }) => alias) : (grants.llm?.models ?? []);
  return models.filter(({ alias }) => granted.includes(alias));
}

/** A time that something took, from microseconds. */
export function duration(us: number): string {
  if (us < 1e3) return `${us} µs`;
  if (us < 1e6) return `${round(us / 1e3)} ms`;
  if (us < 120e6) return `${round(us / 1e6)} s`;
  const minutes = us / 60e6;
  return minutes < 120 ? `${round(minutes)} min` : `${round(minutes / 60)} h`;
}

export function size(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let [value, unit] = [bytes, 0];
  while (value >= 1024 && unit < units.length - 1) [value, unit] = [value / 1024, unit + 1];
  return `${round(value)} ${units[unit]}`;
}

export const count = (value: number): string => value.toLocaleString("en-US");

export const plural = (value: number, word: string): string =>
  `${count(value)} ${word}${value === 1 ? "" : "s"}`;

export const when = (time: string): string =>
  new Date(time).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });

/** Two digits that matter, and no more than one behind the point. */
function round(value: number): string {
  return value < 10 && !Number.isInteger(value) ? value.toFixed(1).replace(/\.0$/, "") : String(Math.round(value));
}
