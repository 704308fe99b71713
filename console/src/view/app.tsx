// Which page stands at an address.

import { ChatPage } from "./chat.tsx";
import { useRoute } from "./route.ts";
import { RuntimesPage } from "./runtimes.tsx";
import { WorkerPage } from "./worker.tsx";
import { WorkersPage } from "./workers.tsx";

export function App() {
  const route = useRoute();
  switch (route.page) {
    case "chat":
      return <ChatPage conversation={route.conversation} />;
    case "workers":
      return <WorkersPage filter={route.filter} />;
    case "worker":
      return <WorkerPage key={`${route.place.runtime}/${route.place.worker}`} place={route.place} />;
    case "runtimes":
      return <RuntimesPage />;
  }
}
