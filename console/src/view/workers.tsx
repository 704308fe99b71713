// The Workers of all Runtimes, with filters.

import { useState } from "preact/hooks";

import * as api from "../api/client.ts";
import type { Diagnostic, RuntimeListing, WorkerStatus, WorkerView } from "../api/types.ts";
import { count, plural, titleOf, when } from "../text/words.ts";
import { CreateDialog } from "./create.tsx";
import { Page } from "./page.tsx";
import { Diagnostics, Problem, Select, Status } from "./parts.tsx";
import { go, workerAddress, workersAddress } from "./route.ts";
import { useAgain, useChanges, useLoaded } from "./state.ts";

const STATUSES: WorkerStatus[] = ["idle", "running", "stopped", "unavailable"];
const FILTERS = ["runtime", "status", "workspace", "profile"] as const;
type FilterName = (typeof FILTERS)[number];

/** As many pages as it takes to show something, but not the whole of a big Runtime at once. */
const PAGE = 200;

interface Found {
  workers: WorkerView[];
  /** Where to go on; absent at the end. */
  next: string | undefined;
  diagnostics: Diagnostic[];
}

async function load(filter: Partial<Record<FilterName, string>>, pages: number): Promise<Found> {
  const { profile, status, ...place } = filter;
  // Anybody can write an address: the Backend says what is no status.
  const asked = { ...place, status: status as WorkerStatus, limit: PAGE };
  const found: Found = { workers: [], next: undefined, diagnostics: [] };
  for (let page = 0; page < pages; page += 1) {
    const answer = await api.workers({ ...asked, ...(found.next && { after: found.next }) });
    const fitting = answer.workers.filter((worker) => !profile || worker.profile === profile);
    found.workers.push(...fitting);
    found.diagnostics = answer.diagnostics ?? [];
    found.next = answer.next ?? undefined;
    if (found.next === undefined) break;
  }
  return found;
}

interface Choices {
  runtimes: RuntimeListing[];
  workspaces: string[];
}

async function loadChoices(): Promise<Choices> {
  const [runtimes, workspaces] = await Promise.all([
    api.runtimes(),
    // Without workspaces there is none to choose.
    api.workspaces().catch(() => []),
  ]);
  return { runtimes, workspaces };
}

export function WorkersPage({ filter }: { filter: Record<string, string> }) {
  const [pages, setPages] = useState(1);
  const [creating, setCreating] = useState(false);
  const wanted = Object.fromEntries(FILTERS.map((name) => [name, filter[name] ?? ""]));
  const key = JSON.stringify([wanted, pages]);
  const found = useLoaded(key, () => load(wanted, pages));
  const choices = useLoaded("choices", loadChoices);
  useChanges(found.reload);
  useAgain((found.value?.diagnostics.length ?? 0) > 0, found.reload);
  const { runtimes = [], workspaces = [] } = choices.value ?? {};
  // Only one that is there can be chosen for a new Worker.
  useAgain(runtimes.some(({ status }) => status !== "ready"), choices.reload);
  const profiles = [...new Set(runtimes.flatMap(({ profiles: names = [] }) => names))].sort();
  const options: Record<FilterName, string[]> = {
    runtime: runtimes.map(({ runtime_id }) => runtime_id),
    status: STATUSES,
    workspace: workspaces,
    profile: profiles,
  };
  const set = (name: FilterName, value: string) => {
    setPages(1);
    go(workersAddress({ ...wanted, [name]: value }));
  };
  const filtered = FILTERS.some((name) => wanted[name] !== "");
  const shown = found.value ? [...found.value.workers].reverse() : null;
  return (
    <Page
      current="workers"
      title="Workers"
      head={
        <button type="button" class="primary" onClick={() => setCreating(true)}>
          New Worker
        </button>
      }
    >
      <div class="content">
        <form class="filters" aria-label="Filters" onSubmit={(event) => event.preventDefault()}>
          {FILTERS.map((name) => (
            <Select
              key={name}
              label={name[0]?.toUpperCase() + name.slice(1)}
              value={wanted[name] ?? ""}
              options={[["", "All"], ...withChosen(options[name], wanted[name] ?? "")]}
              change={(value) => set(name, value)}
            />
          ))}
          {filtered && (
            <a class="button" href={workersAddress({})}>
              Show all
            </a>
          )}
        </form>
        <Problem text={found.error} />
        <Diagnostics list={found.value?.diagnostics ?? []} />
        <p class="caption" role="status">
          {shown ? `${plural(shown.length, "Worker")}${found.value?.next ? ", and more" : ""}` : "Loading…"}
        </p>
        {shown && shown.length > 0 && <Table workers={shown} />}
        {shown?.length === 0 && (
          <div class="empty">
            <p>{filtered ? "No Worker fits these filters." : "There is no Worker yet."}</p>
          </div>
        )}
        {found.value?.next && (
          <button type="button" onClick={() => setPages(pages + 1)}>
            Show more
          </button>
        )}
      </div>
      {creating && <CreateDialog runtimes={runtimes} workspaces={workspaces} close={() => setCreating(false)} />}
    </Page>
  );
}

/** What is chosen by the address stands in the list, also where nobody offers it. */
function withChosen(options: string[], chosen: string): [string, string][] {
  const all = chosen === "" || options.includes(chosen) ? options : [...options, chosen];
  return all.map((option) => [option, option]);
}

function Table({ workers }: { workers: WorkerView[] }) {
  return (
    <div class="table" tabIndex={0} role="group" aria-label="Workers">
      <table>
        <thead>
          <tr>
            {["Worker", "Status", "Runtime", "Profile", "Workspace", "Turns", "Created"].map((name) => (
              <th key={name} scope="col">
                {name}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {workers.map((worker) => {
            const place = { runtime: worker.runtime_id, worker: worker.worker_id };
            return (
              <tr key={`${place.runtime}/${place.worker}`}>
                <th scope="row">
                  <a href={workerAddress(place)}>{titleOf(worker)}</a>
                </th>
                <td>
                  <Status of={worker.status} />
                </td>
                <td>{worker.runtime_id}</td>
                <td>{worker.profile}</td>
                <td>{worker.labels["workspace"] ?? "none"}</td>
                <td class="number">{count(worker.usage.turns)}</td>
                <td>{when(worker.created_at)}</td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </div>
  );
}
