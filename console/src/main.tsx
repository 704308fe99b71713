// The page begins here.

import "./style/main.css";

import { render } from "preact";

import { Gate } from "./view/gate.tsx";

const root = document.getElementById("app");
if (root) render(<Gate signedOut={root.dataset["signedOut"] !== undefined} />, root);
