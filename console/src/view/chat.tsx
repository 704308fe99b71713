// The chat with a companion of the Backend's own Runtime: what a newcomer sees first.

import { useCallback, useEffect, useState } from "preact/hooks";

import * as api from "../api/client.ts";
import type { RuntimeListing, WorkerView } from "../api/types.ts";
import { authorityOf, modelsOf, shortly, titleOf, when } from "../text/words.ts";
import { Conversation } from "./conversation.tsx";
import { Page } from "./page.tsx";
import { chatAddress, go, NEW, replace, workerAddress } from "./route.ts";
import { useChanges, useFollowed, useLoaded } from "./state.ts";

const PROFILE = "companion";
const LONGEST_TITLE = 60;
const WELCOME =
  "Say something: a companion answers. It can reach its model, the files it was granted, if any, and " +
  "nothing else: no programs, no network.";

interface Home {
  runtime: RuntimeListing;
  conversations: WorkerView[];
}

/** The Runtime that the Backend itself runs, and its conversations, newest first. */
async function loadHome(): Promise<Home> {
  const runtime = (await api.runtimes()).find(({ source_kind }) => source_kind === "embedded");
  if (!runtime) {
    throw new api.ApiError(404, { detail: "This Backend runs no Runtime of its own." });
  }
  const conversations: WorkerView[] = [];
  let after: string | undefined;
  do {
    const page = await api.workersOf(runtime.runtime_id, after);
    conversations.push(...page.workers.filter(({ profile }) => profile === PROFILE));
    after = page.next ?? undefined;
  } while (after);
  // Ids sort by creation.
  return { runtime, conversations: conversations.reverse() };
}

export function ChatPage({ conversation }: { conversation: string | null }) {
  const home = useLoaded("home", loadHome);
  const [remark, setRemark] = useState<string | null>(null);
  useChanges(home.reload);
  const runtime = home.value?.runtime.runtime_id ?? null;
  const conversations = home.value?.conversations ?? [];
  const id = conversation === NEW ? null : conversation;
  const place = runtime && id ? { runtime, worker: id } : null;
  const followed = useFollowed(place);

  // The bare address opens the newest conversation, once it is known.
  const newest = home.value ? (conversations[0]?.worker_id ?? NEW) : null;
  useEffect(() => {
    if (conversation === null && newest !== null) replace(chatAddress(newest));
  }, [conversation, newest]);

  // One that does not exist is not left open.
  const gone = followed?.state.gone ?? false;
  useEffect(() => {
    if (!gone) return;
    setRemark("There is no such conversation. Your next message starts a new one.");
    replace(chatAddress(NEW));
    home.reload();
  }, [gone]);
  useEffect(() => {
    if (id !== null) setRemark(null);
  }, [id]);

  const begin = useCallback(
    async (text: string, key: string) => {
      if (runtime === null) throw new api.ApiError(0, { detail: "The Runtime is not known yet." });
      // The first line is the name.
      const title = [...(text.trim().split("\n")[0] ?? "")].slice(0, LONGEST_TITLE).join("");
      const body = { profile: PROFILE, display_name: title, input: { text } };
      const worker = await api.create(runtime, body, key);
      go(chatAddress(worker.worker_id));
      home.reload();
    },
    [runtime, home.reload],
  );

  const worker = followed?.state.worker ?? conversations.find(({ worker_id }) => worker_id === id) ?? null;
  const title = worker ? titleOf(worker) : id === null ? "New conversation" : "Conversation";
  return (
    <Page
      current="chat"
      title={title}
      head={<Head worker={worker} runtime={home.value?.runtime ?? null} />}
      aside={<List conversations={conversations} open={id} />}
    >
      <Conversation
        followed={followed}
        speaker="Companion"
        origins={false}
        choice={false}
        subject={id ?? NEW}
        welcome={WELCOME}
        begin={begin}
        remark={remark ?? home.error}
      />
    </Page>
  );
}

function List({ conversations, open }: { conversations: WorkerView[]; open: string | null }) {
  return (
    <section class="conversations" aria-label="Conversations">
      <a class="button" href={chatAddress(NEW)}>
        New conversation
      </a>
      <ul>
        {conversations.map((worker) => (
          <li key={worker.worker_id}>
            <a
              href={chatAddress(worker.worker_id)}
              title={when(worker.created_at)}
              data-status={worker.status}
              aria-current={worker.worker_id === open ? "page" : undefined}
            >
              {titleOf(worker)}
            </a>
          </li>
        ))}
      </ul>
    </section>
  );
}

/** What answers, and what it may reach. */
function Head({ worker, runtime }: { worker: WorkerView | null; runtime: RuntimeListing | null }) {
  const usable = modelsOf(worker?.grants ?? null, runtime?.models ?? []);
  const offline = usable.some(({ provider }) => provider === "offline");
  const directories = worker?.grants.preopens ?? [];
  return (
    <>
      {directories.length > 0 && worker && (
        <p class="badge" title={authorityOf(worker).join("\n")}>
          {directories.map(shortly).join(", ")}
        </p>
      )}
      {usable.length > 0 && (
        <p class="badge model" data-offline={offline}>
          {offline ? (
            <>
              Offline, no AI<span class="wide">: simple rules answer</span>
            </>
          ) : (
            usable.map(({ model }) => model).join(", ")
          )}
        </p>
      )}
      {worker && (
        <a class="button" href={workerAddress({ runtime: worker.runtime_id, worker: worker.worker_id })}>
          Details
        </a>
      )}
    </>
  );
}
