import type { v1 } from "../wire/index.js";
import type { CoordinatorClient, CoordinatorEvents } from "./api.js";
import type { Coordinator } from "./coordinator.js";

/** The coordinator in the same process, as a file node sees it: the same calls and checks as over the wire. */
export function localCoordinatorClient(coordinator: Coordinator): CoordinatorClient {
  return {
    execute: (command, deadlineMs) => coordinator.execute(command, deadlineMs),
    query: (query, deadlineMs) => coordinator.query(query, deadlineMs),
    watch: (node, listener) => watchLocally(coordinator, node, listener),
  };
}

function watchLocally(coordinator: Coordinator, node: string, listener: CoordinatorEvents): () => void {
  const watch = coordinator.hub.watch(0, { node, kinds: new Set() }, (response) => {
    deliver(response, listener);
    return true;
  });
  return () => coordinator.hub.unwatch(watch);
}

/** Hands one answer of a watch to its listener. */
export function deliver(response: v1.IWatchResponse, listener: CoordinatorEvents): void {
  if (response.resync) listener.onResync(Number(response.progressRevision ?? 0));
  else if (response.events && response.events.length > 0) listener.onEvents(response.events);
}
