// The page begins here.

import "./style/main.css";

import { render } from "preact";

import { Link } from "./stream/link.ts";
import { App } from "./view/app.tsx";
import { LinkContext } from "./view/state.ts";

const root = document.getElementById("app");
if (root) {
  const link = new Link();
  render(
    <LinkContext value={link}>
      <App />
    </LinkContext>,
    root,
  );
}
