// Creates a Worker, and shows before what it would be granted.

import { useRef, useState } from "preact/hooks";

import * as api from "../api/client.ts";
import type { CreateBody, RuntimeListing } from "../api/types.ts";
import { Authority, Dialog, Problem, Select } from "./parts.tsx";
import { go, workerAddress } from "./route.ts";
import { useAttempt, useLoaded } from "./state.ts";

interface Props {
  runtimes: RuntimeListing[];
  workspaces: string[];
  close(): void;
}

export function CreateDialog({ runtimes, workspaces, close }: Props) {
  const ready = runtimes.filter(({ status }) => status === "ready");
  const [chosen, setRuntime] = useState("");
  const runtime = ready.find(({ runtime_id }) => runtime_id === chosen) ?? ready[0];
  const profiles = runtime?.profiles ?? [];
  const [asked, setProfile] = useState("");
  const profile = profiles.includes(asked) ? asked : (profiles[0] ?? "");
  const [workspace, setWorkspace] = useState("");
  const [name, setName] = useState("");
  const [text, setText] = useState("");
  const { problem, dismiss, attempt } = useAttempt();
  const [creating, setCreating] = useState(false);
  const key = useRef({ of: "", key: "" });
  const id = runtime?.runtime_id ?? "";
  const preview = useLoaded(JSON.stringify([id, profile, workspace]), async () =>
    id && profile ? api.launch(id, profile, workspace) : null,
  );
  const known = preview.value !== null && !preview.loading;

  async function submit() {
    if (!known || creating) return;
    const body: CreateBody = { profile };
    if (workspace) body.workspace = workspace;
    if (name.trim()) body.display_name = name.trim();
    if (text.trim()) body.input = { text };
    const asked = JSON.stringify([id, body]);
    // Asked once more after a lost answer, it creates no second one.
    if (key.current.of !== asked) key.current = { of: asked, key: crypto.randomUUID() };
    setCreating(true);
    await attempt(async () => {
      const worker = await api.create(id, body, key.current.key);
      close();
      go(workerAddress({ runtime: id, worker: worker.worker_id }));
    });
    setCreating(false);
  }

  return (
    <Dialog title="New Worker" close={close}>
      <form
        class="fields"
        onSubmit={(event) => {
          event.preventDefault();
          void submit();
        }}
      >
        <div class="row">
          <Select
            label="Runtime"
            value={id}
            options={ready.map((found) => [found.runtime_id, found.display_name ?? found.runtime_id])}
            change={setRuntime}
          />
          <Select
            label="Profile"
            value={profile}
            options={profiles.map((found) => [found, found])}
            change={setProfile}
          />
          <Select
            label="Workspace"
            value={workspace}
            options={[["", "None"], ...workspaces.map((found) => [found, found] as const)]}
            change={setWorkspace}
          />
        </div>
        <section class="preview" aria-live="polite" aria-busy={preview.loading}>
          <h3>What it will be allowed to do</h3>
          {preview.value && (
            <Authority list={preview.value.authority} none="Nothing but compute and answer." />
          )}
          {!preview.value && <p class="caption">{preview.loading ? "Asking…" : "It is not known."}</p>}
          <Problem text={preview.error} />
        </section>
        <label class="field">
          <span>
            Name <em>(if you like)</em>
          </span>
          <input maxLength={100} value={name} onInput={(event) => setName(event.currentTarget.value)} />
        </label>
        <label class="field">
          <span>
            First message <em>(if you like)</em>
          </span>
          <textarea rows={3} value={text} onInput={(event) => setText(event.currentTarget.value)} />
        </label>
        <Problem text={problem} dismiss={dismiss} />
        <div class="actions">
          <button type="button" onClick={close}>
            Not now
          </button>
          <button type="submit" class="primary" disabled={!known || creating}>
            Create it with this authority
          </button>
        </div>
      </form>
    </Dialog>
  );
}
