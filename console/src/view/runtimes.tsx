// The Runtimes: how each fares, and what it can grant.

import { useState } from "preact/hooks";

import * as api from "../api/client.ts";
import { ApiError } from "../api/client.ts";
import type { ConnectionTest, Limits, RuntimeListing } from "../api/types.ts";
import { count, duration, plural, size } from "../text/words.ts";
import { Page } from "./page.tsx";
import { Confirm, Diagnostics, Meter, Problem, Status } from "./parts.tsx";
import { workersAddress } from "./route.ts";
import { RuntimeDialog, reachedInWords } from "./runtime_dialog.tsx";
import { useAgain, useAttempt, useChanges, useLoaded } from "./state.ts";

export function RuntimesPage() {
  const found = useLoaded("runtimes", api.runtimes);
  const [adding, setAdding] = useState(false);
  useChanges(found.reload, 1_000);
  useAgain(found.value?.some(({ status }) => status !== "ready") ?? false, found.reload);
  return (
    <Page
      current="runtimes"
      title="Runtimes"
      head={
        <button type="button" class="primary" onClick={() => setAdding(true)}>
          Add a Runtime
        </button>
      }
    >
      <div class="content">
        <Problem text={found.error} />
        {!found.value && found.loading && <p class="caption">Loading…</p>}
        {found.value?.map((runtime) => (
          <RuntimeCard key={runtime.runtime_id} runtime={runtime} changed={found.reload} />
        ))}
      </div>
      {adding && <RuntimeDialog close={() => setAdding(false)} done={found.reload} />}
    </Page>
  );
}

const KINDS = {
  embedded: "runs inside this Backend",
  remote: "runs in a process of its own",
  unknown: "runs elsewhere",
};

function RuntimeCard({ runtime, changed }: { runtime: RuntimeListing; changed(): void }) {
  const id = runtime.runtime_id;
  const { problem, dismiss, attempt } = useAttempt();
  const [result, setResult] = useState<ConnectionTest | null>(null);
  const [removing, setRemoving] = useState<"ask" | "force" | null>(null);
  const [replacing, setReplacing] = useState(false);
  const remote = runtime.source_kind === "remote";

  const test = async () => {
    setResult(null);
    setResult((await attempt(() => api.testRuntime(id))) ?? null);
    changed();
  };
  const remove = async (force: boolean) => {
    setRemoving(null);
    await attempt(async () => {
      try {
        await api.removeRuntime(id, force);
      } catch (error) {
        if (!(error instanceof ApiError && error.code === "runtime_in_use") || force) throw error;
        setRemoving("force");
      }
    });
    changed();
  };

  return (
    <article class="card runtime" aria-labelledby={`runtime-${id}`}>
      <header>
        <h2 id={`runtime-${id}`}>{runtime.display_name ?? id}</h2>
        <Status of={runtime.status} />
        <p class="caption">
          <code>{id}</code> {KINDS[runtime.source_kind]}
          {runtime.version && `, version ${runtime.version}`}
          {runtime.managed_by === "config" && ", from the configuration"}
        </p>
        {remote && (
          <div class="actions">
            <button type="button" onClick={() => void test()}>
              Test the connection
            </button>
            {runtime.managed_by === "api" && (
              <>
                <button type="button" onClick={() => setReplacing(true)}>
                  Reach it in another way
                </button>
                <button type="button" class="danger" onClick={() => setRemoving("ask")}>
                  Remove
                </button>
              </>
            )}
          </div>
        )}
      </header>
      <Problem text={problem} dismiss={dismiss} />
      {result && (
        <p class="good" role="status">
          {reachedInWords(result)}
        </p>
      )}
      <Diagnostics list={runtime.diagnostics} />
      {runtime.overview && <Overview runtime={runtime} />}
      <div class="columns">
        <Capabilities runtime={runtime} />
        <Offers runtime={runtime} />
      </div>
      {runtime.limits && <Bounds limits={runtime.limits} />}
      {replacing && <RuntimeDialog replaces={id} close={() => setReplacing(false)} done={changed} />}
      {removing === "ask" && (
        <Confirm
          title={`Remove ${id}?`}
          says="This Backend forgets it. Its Workers stay where they are."
          action="Remove it"
          close={() => setRemoving(null)}
          act={() => void remove(false)}
        />
      )}
      {removing === "force" && (
        <Confirm
          title={`${id} is in use`}
          says="It has Workers, or it cannot be asked whether it has. They go on, and are not shown here any more."
          action="Remove it all the same"
          close={() => setRemoving(null)}
          act={() => void remove(true)}
        />
      )}
    </article>
  );
}

function Overview({ runtime }: { runtime: RuntimeListing }) {
  const { overview, runtime_id: id } = runtime;
  if (!overview) return null;
  const { idle, running, stopped, unavailable = 0 } = overview;
  const all = idle + running + stopped + unavailable;
  const counts = Object.entries({ running, idle, stopped, unavailable }).filter(([, value]) => value > 0);
  return (
    <div class="overview">
      <a class="total" href={workersAddress({ runtime: id })}>
        {plural(all, "Worker")}
      </a>
      {counts.map(([status, value]) => (
        <a key={status} href={workersAddress({ runtime: id, status })} class="status" data-status={status}>
          {count(value)} {status}
        </a>
      ))}
      <span class="caption">
        {plural(overview.usage.turns, "turn")}, {plural(overview.usage.model_calls, "model call")},{" "}
        {duration(overview.usage.cpu_us)} of processor time
      </span>
    </div>
  );
}

function Capabilities({ runtime }: { runtime: RuntimeListing }) {
  const { capabilities = [] } = runtime;
  if (capabilities.length === 0) return null;
  return (
    <section>
      <h3>What it can grant</h3>
      <ul class="capabilities">
        {capabilities.map(({ name, available, reason }) => (
          <li key={name} data-available={available}>
            <span class="mark" aria-hidden="true">
              {available ? "✓" : "✕"}
            </span>
            <span>
              <strong>{name}</strong>
              <span class="visually-hidden">{available ? ": available" : ": missing"}</span>
              {reason && <span class="reason">{reason}</span>}
            </span>
          </li>
        ))}
      </ul>
    </section>
  );
}

/** Models, directories and profiles. */
function Offers({ runtime }: { runtime: RuntimeListing }) {
  const { models = [], roots = [], profiles = [] } = runtime;
  return (
    <section class="offers">
      {models.length > 0 && (
        <>
          <h3>Models</h3>
          <dl class="facts">
            {models.map(({ alias, provider, model }) => [
              <dt key={alias}>{alias}</dt>,
              <dd key={`${alias}=`}>{provider === "offline" ? "offline: simple rules, no AI" : `${model} (${provider})`}</dd>,
            ])}
          </dl>
        </>
      )}
      {roots.length > 0 && (
        <>
          <h3>Directories</h3>
          <dl class="facts">
            {roots.map(({ name, access, available, reason }) => [
              <dt key={name}>{name}</dt>,
              <dd key={`${name}=`} data-available={available}>
                {available ? access : `missing: ${reason ?? "nobody said why"}`}
              </dd>,
            ])}
          </dl>
        </>
      )}
      {profiles.length > 0 && (
        <>
          <h3>Profiles</h3>
          <p>{profiles.join(", ")}</p>
        </>
      )}
    </section>
  );
}

function Bounds({ limits }: { limits: Limits }) {
  return (
    <details>
      <summary>Limits</summary>
      <div class="limits">
        {Object.entries(limits).map(([name, value]) => (
          <Meter key={name} label={limitName(name)} value={0} of={undefined} says={limitValue(name, value)} />
        ))}
      </div>
    </details>
  );
}

const limitName = (name: string): string => name.replace(/_(bytes|ms)$/, "").replaceAll("_", " ");

function limitValue(name: string, value: number): string {
  if (name.endsWith("_ms")) return duration(value * 1e3);
  return name.endsWith("_bytes") || name === "memory_total" ? size(value) : count(value);
}
