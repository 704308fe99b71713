// Whether there is something to show: where this browser is not signed in and there is a password, it is asked for.

import { useEffect, useMemo, useState } from "preact/hooks";

import * as api from "../api/client.ts";
import { Link } from "../stream/link.ts";
import { App } from "./app.tsx";
import { SignInPage } from "./sign_in.tsx";
import { LinkContext, useConnection, useLink } from "./state.ts";

/** What the server saw when it was asked for the page. */
export function Gate({ signedOut }: { signedOut: boolean }) {
  const [stands, setStands] = useState<"inside" | "outside" | "unknown">(signedOut ? "unknown" : "inside");
  useEffect(() => {
    if (!signedOut) return;
    // A browser that comes from a page elsewhere sends no cookie; from here on it does.
    api.signInState().then(
      ({ signed_in }) => setStands(signed_in ? "inside" : "outside"),
      () => setStands("outside"),
    );
  }, [signedOut]);
  switch (stands) {
    case "inside":
      return <Console />;
    case "outside":
      return <SignInPage done={() => setStands("inside")} />;
    case "unknown":
      return null;
  }
}

function Console() {
  const link = useMemo(() => new Link(), []);
  return (
    <LinkContext value={link}>
      <Inside />
    </LinkContext>
  );
}

/** The console, until the session is over. */
function Inside() {
  const link = useLink();
  const isOver = useConnection() === "signed-out";
  const [asks, setAsks] = useState(false);
  useEffect(() => {
    setAsks(false);
    if (!isOver) return undefined;
    let current = true;
    api.signInState().then(
      ({ signed_in, password }) => current && setAsks(!signed_in && password),
      () => undefined,
    );
    return () => {
      current = false;
    };
  }, [isOver]);
  return asks ? <SignInPage done={() => link.retry()} /> : <App />;
}
