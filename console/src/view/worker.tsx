// One Worker: what it says and does, what it may do, and what it took.

import { useState } from "preact/hooks";

import * as api from "../api/client.ts";
import type { WorkerPlace } from "../api/client.ts";
import type { WorkerUsage, WorkerView } from "../api/types.ts";
import { isRunning } from "../fold/follow.ts";
import { authorityOf, count, duration, plural, size, titleOf, when } from "../text/words.ts";
import { Conversation } from "./conversation.tsx";
import { Page } from "./page.tsx";
import { Authority, Confirm, Diagnostics, Meter, Problem, Status } from "./parts.tsx";
import { go, workersAddress } from "./route.ts";
import { useAttempt, useFollowed, useLoaded } from "./state.ts";

export function WorkerPage({ place }: { place: WorkerPlace }) {
  const followed = useFollowed(place);
  const { problem, dismiss, attempt } = useAttempt();
  const [deleting, setDeleting] = useState(false);
  const state = followed?.state;
  const worker = state?.worker ?? null;
  const status = state?.status ?? "unknown";
  if (state?.gone) {
    return (
      <Page current="workers" title="No such Worker">
        <div class="content">
          <p>There is no such Worker, or not any more.</p>
          <a class="button" href={workersAddress({})}>
            All Workers
          </a>
        </div>
      </Page>
    );
  }
  const stopped = status === "stopped";
  const remove = async () => {
    setDeleting(false);
    await attempt(async () => {
      await api.remove(place);
      go(workersAddress({}));
    });
  };
  return (
    <Page
      current="workers"
      title={worker ? titleOf(worker) : "Worker"}
      head={
        worker && (
          <>
            <Status of={status} />
            {isRunning(status) && (
              <button type="button" onClick={() => void attempt(() => api.cancel(place, state?.turn))}>
                Cancel the turn
              </button>
            )}
            {stopped ? (
              <button type="button" onClick={() => void attempt(() => api.start(place))}>
                Start
              </button>
            ) : (
              <button type="button" onClick={() => void attempt(() => api.stop(place))}>
                Stop
              </button>
            )}
            {(stopped || status === "unavailable") && (
              <button type="button" class="danger" onClick={() => setDeleting(true)}>
                Delete
              </button>
            )}
          </>
        )
      }
    >
      <Problem text={problem} dismiss={dismiss} />
      <div class="worker">
        <Conversation
          followed={followed}
          speaker={worker?.profile ?? "Worker"}
          origins
          choice
          subject={place.worker}
          welcome="It has said nothing yet. Send it a message."
        />
        {worker && <Details worker={worker} usage={state?.usage ?? null} />}
      </div>
      {deleting && (
        <Confirm
          title="Delete this Worker?"
          says="Its log, its transcript and its private directory go with it. This cannot be undone."
          action="Delete it"
          close={() => setDeleting(false)}
          act={() => void remove()}
        />
      )}
    </Page>
  );
}

function Details({ worker, usage }: { worker: WorkerView; usage: WorkerUsage | null }) {
  const labels = Object.entries(worker.labels);
  return (
    <aside class="details" aria-label="About this Worker">
      <Diagnostics list={worker.diagnostics} />
      <section>
        <h2>What it may do</h2>
        <Authority list={authorityOf(worker)} none="Nothing but compute and answer." />
        {(worker.revoked ?? []).length > 0 && (
          <p class="caption">Taken away: {worker.revoked?.join(", ")}</p>
        )}
      </section>
      <section>
        <h2>What it took</h2>
        <UsageView worker={worker} usage={usage} />
      </section>
      <section>
        <h2>What it is</h2>
        <dl class="facts">
          <dt>Runtime</dt>
          <dd>
            <a href={workersAddress({ runtime: worker.runtime_id })}>{worker.runtime_id}</a>
          </dd>
          <dt>Profile</dt>
          <dd>{worker.profile}</dd>
          <dt>Kind</dt>
          <dd>{worker.implementation}</dd>
          <dt>Created</dt>
          <dd>{when(worker.created_at)}</dd>
          <dt>Events</dt>
          <dd>{count(worker.last_seq)}</dd>
          {labels.map(([name, value]) => [<dt key={name}>{name}</dt>, <dd key={`${name}=`}>{value}</dd>])}
          <dt>Id</dt>
          <dd>
            <code>{worker.worker_id}</code>
          </dd>
          <dt>Component</dt>
          <dd>
            <code>{worker.component}</code>
          </dd>
        </dl>
      </section>
    </aside>
  );
}

/** The last turn beside what a turn may take, and all turns in numbers. */
function UsageView({ worker, usage }: { worker: WorkerView; usage: WorkerUsage | null }) {
  const limits = useLoaded(`limits of ${worker.runtime_id}`, async () => {
    const found = (await api.runtimes()).find(({ runtime_id }) => runtime_id === worker.runtime_id);
    return found?.limits ?? {};
  });
  const total = usage?.total ?? worker.usage;
  const receipt = usage?.turns.at(-1)?.receipt;
  const { turn_wall_ms: wall, turn_cpu_ms: cpu, turn_memory_bytes: memory } = limits.value ?? {};
  const micro = (ms: number | undefined) => (ms === undefined ? undefined : ms * 1e3);
  const of = (bound: string | undefined) => (bound ? ` of ${bound}` : "");
  const known = (bound: number | undefined, says: (bound: number) => string) =>
    of(bound === undefined ? undefined : says(bound));
  return (
    <>
      {receipt && (
        <>
          <h3>The last turn</h3>
          <Meter
            label="Time"
            value={receipt.wall_us}
            of={micro(wall)}
            says={duration(receipt.wall_us) + known(micro(wall), duration)}
          />
          <Meter
            label="Processor"
            value={receipt.cpu_us}
            of={micro(cpu)}
            says={duration(receipt.cpu_us) + known(micro(cpu), duration)}
          />
          {receipt.peak_memory_bytes !== undefined && (
            <Meter
              label="Memory"
              value={receipt.peak_memory_bytes}
              of={memory}
              says={size(receipt.peak_memory_bytes) + known(memory, size)}
            />
          )}
        </>
      )}
      <h3>All turns</h3>
      <dl class="facts">
        <dt>Turns</dt>
        <dd>{count(total.turns)}</dd>
        <dt>Model calls</dt>
        <dd>{count(total.model_calls)}</dd>
        <dt>Time</dt>
        <dd>{duration(total.wall_us)}</dd>
        <Tokens name="Tokens read" value={total.input} />
        <Tokens name="From the cache" value={total.cached_input} />
        <Tokens name="Tokens written" value={total.output} />
      </dl>
      {usage && usage.turns.length > 1 && <TurnBars usage={usage} />}
    </>
  );
}

/** A count, if anybody counted. */
function Tokens({ name, value }: { name: string; value: number | null | undefined }) {
  if (value === null || value === undefined) return null;
  return (
    <>
      <dt>{name}</dt>
      <dd>{count(value)}</dd>
    </>
  );
}

const MOST_BARS = 24;

/** How long the newest turns took, side by side. */
function TurnBars({ usage }: { usage: WorkerUsage }) {
  const turns = usage.turns.slice(-MOST_BARS);
  const longest = Math.max(...turns.map(({ receipt }) => receipt.wall_us), 1);
  return (
    <figure>
      <svg
        class="bars"
        viewBox={`0 0 ${MOST_BARS * 10} 40`}
        role="img"
        aria-label={`How long the last ${plural(turns.length, "turn")} took; the longest ${duration(longest)}`}
      >
        {turns.map(({ turn_id, receipt, outcome }, place) => {
          const height = Math.max(2, (receipt.wall_us / longest) * 40);
          return (
            <rect
              key={turn_id}
              x={place * 10 + 1}
              y={40 - height}
              width={8}
              height={height}
              rx={1.5}
              data-outcome={outcome.status}
            >
              <title>{`${duration(receipt.wall_us)}, ${outcome.status}`}</title>
            </rect>
          );
        })}
      </svg>
      <figcaption>The newest turns by time; the longest took {duration(longest)}.</figcaption>
    </figure>
  );
}
