// Asks for the password.

import { useEffect, useRef, useState } from "preact/hooks";

import * as api from "../api/client.ts";
import { Problem } from "./parts.tsx";
import { useAttempt } from "./state.ts";

export function SignInPage({ done }: { done(): void }) {
  // Only the field has it, and only until it was right.
  const field = useRef<HTMLInputElement>(null);
  const [busy, setBusy] = useState(false);
  const [refused, setRefused] = useState<string | null>(null);
  const { problem, attempt } = useAttempt();
  useEffect(() => {
    document.title = "Sign in · yoi";
    field.current?.focus();
  }, []);
  const submit = async () => {
    const input = field.current;
    if (!input) return;
    setBusy(true);
    setRefused(null);
    const why = await attempt(() => api.signIn(input.value));
    setBusy(false);
    if (why === null) {
      input.value = "";
      done();
    } else {
      setRefused(why ?? null);
      input.select();
    }
  };
  return (
    <div class="sign-in">
      <main>
        <h1>Sign in to yoi</h1>
        <form
          class="fields"
          onSubmit={(event) => {
            event.preventDefault();
            if (!busy) void submit();
          }}
        >
          <label class="field">
            <span>Password</span>
            <input
              ref={field}
              type="password"
              name="password"
              required
              autocomplete="current-password"
              aria-invalid={refused !== null}
            />
          </label>
          <Problem text={refused ?? problem} />
          <div class="actions">
            <button type="submit" class="primary" aria-busy={busy}>
              Sign in
            </button>
          </div>
        </form>
        <p class="caption">
          Who runs this server sets the password, with <code>yoi password set</code>.
        </p>
      </main>
    </div>
  );
}
