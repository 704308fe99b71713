// Adds a remote Runtime, or has one reached in another way, after a look whether it is there.

import { useState } from "preact/hooks";

import * as api from "../api/client.ts";
import type { ConnectionTest, RemoteDefinition } from "../api/types.ts";
import { Dialog, Problem, Select } from "./parts.tsx";
import { useAttempt } from "./state.ts";

export const reachedInWords = ({ display_name, runtime_id, version, latency_ms }: ConnectionTest): string =>
  `Reached ${display_name} (${runtime_id}), version ${version}, in ${latency_ms} ms.`;

type Source = "env" | "file";

const SOURCES: readonly (readonly [Source, string])[] = [
  ["env", "A variable of the Backend's environment"],
  ["file", "A file below tokens/ in the Backend's data directory"],
];

interface Props {
  /** The Runtime that is to be reached in another way; absent for a new one. */
  replaces?: string;
  close(): void;
  done(): void;
}

export function RuntimeDialog({ replaces, close, done }: Props) {
  const [id, setId] = useState(replaces ?? "");
  const [endpoint, setEndpoint] = useState("");
  const [source, setSource] = useState<Source>("env");
  const [reference, setReference] = useState("");
  const [certificates, setCertificates] = useState("");
  const [result, setResult] = useState<ConnectionTest | null>(null);
  const [busy, setBusy] = useState(false);
  const { problem, dismiss, attempt } = useAttempt();
  const complete = [id, endpoint, reference].every((field) => field.trim() !== "");

  const body = (): RemoteDefinition => ({
    runtime_id: id.trim(),
    endpoint: endpoint.trim(),
    token: source === "env" ? { env: reference.trim() } : { file: reference.trim() },
    ...(certificates.trim() !== "" && { certificates }),
  });
  const change = (set: (value: string) => void) => (event: { currentTarget: { value: string } }) => {
    // What was found out is about what stood there before.
    setResult(null);
    set(event.currentTarget.value);
  };
  const act = async (what: () => Promise<void>) => {
    setBusy(true);
    setResult(null);
    await attempt(what);
    setBusy(false);
  };

  return (
    <Dialog title={replaces === undefined ? "Add a Runtime" : `Reach ${replaces} in another way`} close={close}>
      <form
        class="fields"
        onSubmit={(event) => {
          event.preventDefault();
          void act(async () => {
            await (replaces === undefined ? api.registerRuntime(body()) : api.replaceRuntime(body()));
            done();
            close();
          });
        }}
      >
        <p class="caption">
          A Runtime process on this machine or another one, started with <code>yoi serve</code>. Its token is
          never typed here: the Backend reads it from where you say.
        </p>
        {replaces === undefined && (
          <label class="field">
            <span>Id</span>
            <input
              required
              placeholder="far"
              autocapitalize="off"
              spellcheck={false}
              value={id}
              onInput={change(setId)}
            />
          </label>
        )}
        <label class="field">
          <span>Endpoint</span>
          <input
            required
            type="url"
            placeholder="https://host:38800"
            value={endpoint}
            onInput={change(setEndpoint)}
          />
        </label>
        <Select
          label="Where its token is"
          value={source}
          options={SOURCES}
          change={(value) => setSource(value === "file" ? "file" : "env")}
        />
        <label class="field">
          <span>{source === "env" ? "Name of the variable" : "Name of the file"}</span>
          <input
            required
            placeholder={source === "env" ? "YOI_TOKEN_FAR" : "far.token"}
            autocapitalize="off"
            spellcheck={false}
            value={reference}
            onInput={change(setReference)}
          />
        </label>
        <details>
          <summary>It made its own certificate</summary>
          <label class="field">
            <span>Certificates to trust for it, as PEM</span>
            <textarea
              rows={4}
              placeholder="-----BEGIN CERTIFICATE-----"
              spellcheck={false}
              value={certificates}
              onInput={change(setCertificates)}
            />
          </label>
        </details>
        <Problem text={problem} dismiss={dismiss} />
        {result && (
          <p class="good" role="status">
            {reachedInWords(result)}
          </p>
        )}
        <div class="actions">
          <button
            type="button"
            disabled={!complete || busy}
            onClick={() => void act(async () => setResult(await api.testNewRuntime(body())))}
          >
            Test the connection
          </button>
          <button type="submit" class="primary" disabled={!complete || busy}>
            {replaces === undefined ? "Add it" : "Reach it so"}
          </button>
        </div>
      </form>
    </Dialog>
  );
}
